; definitions
(class_definition name: (_) @name) @class
(mixin_declaration . (mixin) . (identifier) @name) @class
(extension_declaration name: (_) @name) @class
(enum_declaration name: (_) @name) @class
(declaration (constructor_signature name: (identifier) @name . parameters: (_) @parameters)) @function
(declaration (function_signature name: (_) @name (formal_parameter_list) @parameters)) @function
(declaration (getter_signature name: (_) @name)) @function
((method_signature (constructor_signature name: (identifier) @name . parameters: (_) @parameters)) @function
  . (function_body) @end)
((method_signature (factory_constructor_signature (identifier) @name . (formal_parameter_list) @parameters)) @function
  . (function_body) @end)
((method_signature (function_signature name: (_) @name (formal_parameter_list) @parameters)) @function
  . (function_body) @end)
((method_signature (getter_signature name: (_) @name)) @function . (function_body) @end)
((method_signature (setter_signature name: (_) @name (formal_parameter_list) @parameters)) @function
  . (function_body) @end)
((method_signature (operator_signature (binary_operator) @name)) @function . (function_body) @end)
((function_signature name: (_) @name (formal_parameter_list) @parameters) @function . (function_body) @end)
((getter_signature name: (_) @name) @function . (function_body) @end)

; calls
((identifier) @call . (selector (argument_part)))
((selector (unconditional_assignable_selector (identifier) @call)) . (selector (argument_part)))
((selector (conditional_assignable_selector (identifier) @call)) . (selector (argument_part)))

; imports
(configurable_uri (uri) @import)
