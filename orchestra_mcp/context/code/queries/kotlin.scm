; definitions
(class_declaration name: (_) @name) @class
(object_declaration name: (_) @name) @class
(companion_object) @owning
(function_declaration name: (_) @name (function_value_parameters) @parameters) @function
(function_declaration [(user_type . (identifier) @owner) (nullable_type (user_type . (identifier) @owner))]
  . name: (_) @name (function_value_parameters) @parameters) @function
(property_declaration (variable_declaration (identifier) @name) (getter)) @function
(secondary_constructor "constructor" @name (function_value_parameters) @parameters) @function
(property_declaration (variable_declaration (identifier) @name) (lambda_literal)) @function
(object_literal) @owning
(enum_entry (identifier) @name (class_body)) @owning

; calls
(call_expression . (identifier) @call)
(call_expression . (navigation_expression (identifier) @call .))

; imports
(import (qualified_identifier) @import)
