; definitions
(function_statement (function_name) @name) @function
(class_statement . (simple_name) @name) @class
(enum_statement . (simple_name) @name) @class
(class_method_definition (simple_name) @name) @function

; calls
(command command_name: (command_name) @call)
(invokation_expression (member_name (simple_name) @call))

; imports
(command command_name: (command_name) @_import command_elements: (command_elements (generic_token) @import)
  (#match? @_import "^[Ii]mport-[Mm]odule$"))
