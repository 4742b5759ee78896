; definitions
(variable_declaration . (identifier) @name [(struct_declaration) (enum_declaration) (union_declaration) (opaque_declaration)]) @class
(function_declaration name: (_) @name (parameters) @parameters) @function
(test_declaration [(string) (identifier)] @name) @function

; calls
(call_expression function: (identifier) @call)
(call_expression function: (field_expression member: (identifier) @call))

; imports
(builtin_function (builtin_identifier) @_import (arguments . (string) @import)
  (#eq? @_import "@import"))
