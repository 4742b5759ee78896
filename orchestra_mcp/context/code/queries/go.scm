; definitions
(function_declaration name: (identifier) @name parameters: (_) @parameters) @function
(method_declaration
  receiver: (parameter_list (parameter_declaration
    type: [(type_identifier) @owner
           (generic_type type: (type_identifier) @owner)
           (pointer_type (type_identifier) @owner)
           (pointer_type (generic_type type: (type_identifier) @owner))]))
  name: (field_identifier) @name parameters: (_) @parameters) @function
(type_declaration (type_spec name: (type_identifier) @name) @class)
(short_var_declaration
  left: (expression_list . (identifier) @name .)
  right: (expression_list . (func_literal parameters: (_) @parameters) .)) @function
(type_declaration (type_alias name: (type_identifier) @name) @class)
(method_elem name: (field_identifier) @name parameters: (_) @parameters) @function
(source_file (var_declaration (var_spec name: (identifier) @name
  value: (expression_list . (func_literal parameters: (_) @parameters) .)) @function))

; calls
(call_expression function: (identifier) @call)
(call_expression function: (selector_expression field: (field_identifier) @call))
(call_expression function: (index_expression operand: (identifier) @call))
(composite_literal type: (type_identifier) @call)

; imports
(import_spec path: (_) @import)
