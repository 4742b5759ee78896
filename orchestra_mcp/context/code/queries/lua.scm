; definitions
(function_declaration name: (_) @name parameters: (_) @parameters) @function
(assignment_statement (variable_list . name: (_) @name .)
  (expression_list . value: (function_definition parameters: (_) @parameters) .)) @function
(field name: (identifier) @name value: (function_definition parameters: (_) @parameters)) @function
(assignment_statement (variable_list . name: (_) @name .) (expression_list . value: (table_constructor) .)) @scope

; calls
(function_call name: (identifier) @call)
(function_call name: (dot_index_expression field: (identifier) @call))
(function_call name: (method_index_expression method: (identifier) @call))

; imports
(function_call name: (identifier) @_require arguments: (arguments . (string) @import)
  (#any-of? @_require "require" "dofile" "loadfile"))
