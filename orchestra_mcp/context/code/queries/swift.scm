; definitions
(class_declaration name: [(type_identifier) (user_type)] @name) @class
(protocol_declaration name: (_) @name) @class
(function_declaration "func" . _ @name) @function
(init_declaration "init" @name) @function
(deinit_declaration "deinit" @name) @function
(protocol_function_declaration name: (simple_identifier) @name) @function
(subscript_declaration "subscript" @name) @function
(property_declaration name: (pattern bound_identifier: (simple_identifier) @name) computed_value: (_)) @function

; calls
(call_expression . (simple_identifier) @call)
(call_expression . (navigation_expression suffix: (navigation_suffix suffix: (simple_identifier) @call)))

; imports
(import_declaration (identifier) @import)
