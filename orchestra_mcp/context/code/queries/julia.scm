; definitions
(module_definition name: (_) @name) @scope
(struct_definition (type_head (identifier) @name)) @class
(struct_definition (type_head (parametrized_type_expression . (identifier) @name))) @class
(struct_definition (type_head (binary_expression . (identifier) @name))) @class
(struct_definition (type_head (binary_expression . (parametrized_type_expression . (identifier) @name)))) @class
(abstract_definition (type_head (identifier) @name)) @class
(abstract_definition (type_head (binary_expression . (identifier) @name))) @class
(function_definition (signature (call_expression . (_) @name (argument_list) @parameters))) @function
(function_definition (signature (_ . (call_expression . (_) @name (argument_list) @parameters)))) @function
(assignment . (call_expression . (_) @name (argument_list) @parameters)) @function
(assignment . (where_expression . (call_expression . (_) @name (argument_list) @parameters))) @function
(macro_definition (signature (call_expression . (identifier) @name (argument_list) @parameters))) @function

; calls
(call_expression . (identifier) @call)
(call_expression . (field_expression (identifier) @call .))
(broadcast_call_expression . (identifier) @call)

; imports
(using_statement [(identifier) (scoped_identifier) (import_path)] @import)
(using_statement (selected_import . (_) @import))
(import_statement [(identifier) (scoped_identifier) (import_path)] @import)
(import_statement (selected_import . (_) @import))
