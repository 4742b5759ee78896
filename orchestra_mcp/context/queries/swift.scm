; definitions
(class_declaration name: [(type_identifier) @name (user_type . (type_identifier) @name)]) @class
(protocol_declaration name: (_) @name) @class
(function_declaration name: (simple_identifier) @name) @function
(init_declaration "init" @name) @function
(deinit_declaration "deinit" @name) @function
(protocol_function_declaration name: (simple_identifier) @name) @function

; calls
(call_expression . (simple_identifier) @call)
(call_expression . (navigation_expression suffix: (navigation_suffix suffix: (simple_identifier) @call)))

; imports
(import_declaration (identifier) @import)
