; definitions
(class_declaration name: (_) @name) @class
(struct_declaration name: (_) @name) @class
(interface_declaration name: (_) @name) @class
(enum_declaration name: (_) @name) @class
(record_declaration name: (_) @name) @class
(method_declaration name: (_) @name parameters: (_) @parameters) @function
(constructor_declaration name: (_) @name parameters: (_) @parameters) @function
(destructor_declaration name: (_) @name) @function
(property_declaration name: (_) @name accessors: (accessor_list (accessor_declaration body: (_)))) @function
(local_function_statement name: (_) @name parameters: (_) @parameters) @function
(property_declaration name: (_) @name value: (arrow_expression_clause)) @function
(indexer_declaration "this" @name parameters: (_) @parameters) @function
(operator_declaration operator: _ @name parameters: (_) @parameters) @function
(conversion_operator_declaration type: (_) @name parameters: (_) @parameters) @function
(delegate_declaration name: (_) @name) @class

; calls
(invocation_expression function: (identifier) @call)
(invocation_expression function: (generic_name (identifier) @call))
(invocation_expression function: (member_access_expression name: (identifier) @call))
(invocation_expression function: (member_access_expression name: (generic_name (identifier) @call)))
(object_creation_expression type: (identifier) @call)
(object_creation_expression type: (generic_name (identifier) @call))

; imports
(using_directive [(qualified_name) (identifier)] @import)
