; definitions
(function_item name: (_) @name parameters: (_) @parameters) @function
(function_signature_item name: (_) @name parameters: (_) @parameters) @function
(struct_item name: (_) @name) @class
(enum_item name: (_) @name) @class
(union_item name: (_) @name) @class
(trait_item name: (_) @name) @class
(impl_item type: [(type_identifier) @name
                  (generic_type type: (type_identifier) @name)
                  (generic_type type: (scoped_type_identifier name: (type_identifier) @name))
                  (scoped_type_identifier name: (type_identifier) @name)
                  (reference_type type: (type_identifier) @name)
                  (reference_type type: (generic_type type: (type_identifier) @name))
                  (dynamic_type trait: (type_identifier) @name)
                  (dynamic_type trait: (generic_type type: (type_identifier) @name))]) @owning
(impl_item) @owning
(mod_item name: (_) @name body: (_)) @scope
(macro_definition name: (_) @name) @function
(let_declaration pattern: (identifier) @name value: (closure_expression parameters: (_) @parameters)) @function

; calls
(call_expression function: (identifier) @call)
(call_expression function: (field_expression field: (field_identifier) @call))
(call_expression function: (scoped_identifier name: (identifier) @call))
(call_expression function: (generic_function function: (identifier) @call))
(call_expression function: (generic_function function: (scoped_identifier name: (identifier) @call)))
(call_expression function: (generic_function function: (field_expression field: (field_identifier) @call)))
(macro_invocation macro: (identifier) @call)

; imports
(use_declaration argument: [(scoped_identifier) (identifier)] @import)
(use_declaration argument: (scoped_use_list path: (_) @import))
(use_declaration argument: (use_as_clause path: (_) @import))
(use_declaration argument: (use_wildcard (_) @import))
(mod_item name: (_) @import !body)
