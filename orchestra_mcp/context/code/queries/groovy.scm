; definitions
(class_declaration name: (_) @name) @class
(interface_declaration name: (_) @name) @class
(enum_declaration name: (_) @name) @class
(method_declaration name: (_) @name parameters: (_) @parameters) @function
(function_definition name: (_) @name parameters: (_) @parameters) @function
(constructor_declaration name: (_) @name parameters: (_) @parameters) @function

; calls
(method_invocation name: (identifier) @call)
(juxt_function_call name: (identifier) @call)
(object_creation_expression type: (type_identifier) @call)

; imports
(import_declaration [(scoped_identifier) (identifier)] @import)
