; definitions
(class_interface . (identifier) @name) @class
(class_implementation . (identifier) @name) @class
(protocol_declaration . (identifier) @name) @class
(method_declaration (method_type) . (identifier) @name) @function
(method_definition (method_type) . (identifier) @name) @function
(function_declarator declarator: (identifier) @name parameters: (_) @parameters) @declarator
(struct_specifier name: (_) @name body: (_)) @class
(enum_specifier name: (_) @name body: (_)) @class
(preproc_function_def name: (_) @name parameters: (_) @parameters) @function

; calls
(message_expression method: (identifier) @call)
(call_expression function: (identifier) @call)

; imports
(preproc_include path: (_) @import)
(module_import path: (_) @import)
