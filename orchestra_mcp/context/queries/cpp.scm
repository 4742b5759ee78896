; definitions
(function_declarator declarator: (identifier) @name parameters: (_) @parameters) @declarator
(function_declarator declarator: (field_identifier) @name parameters: (_) @parameters) @declarator
(function_declarator declarator: (destructor_name) @name parameters: (_) @parameters) @declarator
(function_declarator declarator: (operator_name) @name parameters: (_) @parameters) @declarator
(function_declarator declarator: (qualified_identifier) @name parameters: (_) @parameters) @declarator
(class_specifier name: (_) @name body: (_)) @class
(struct_specifier name: (_) @name body: (_)) @class
(union_specifier name: (_) @name body: (_)) @class
(enum_specifier name: (_) @name body: (_)) @class
(namespace_definition name: (_) @name) @scope

; calls
(call_expression function: (identifier) @call)
(call_expression function: (field_expression field: (field_identifier) @call))
(call_expression function: (qualified_identifier name: (identifier) @call))
(call_expression function: (template_function name: (identifier) @call))
(call_expression function: (qualified_identifier name: (template_function name: (identifier) @call)))
(new_expression type: (type_identifier) @call)

; imports
(preproc_include path: (_) @import)
