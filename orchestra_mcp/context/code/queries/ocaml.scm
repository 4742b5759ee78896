; definitions
(module_definition (module_binding (module_name) @name)) @class
(module_type_definition (module_type_name) @name) @class
(class_definition (class_binding (class_name) @name)) @class
(type_definition (type_binding name: (type_constructor) @name) @class)
(value_definition (let_binding pattern: (value_name) @name (parameter)) @function)
(value_definition (let_binding pattern: (value_name) @name body: [(function_expression) (fun_expression)]) @function)
(method_definition (method_name) @name) @function
(external (value_name) @name) @function

; calls
(application_expression function: (value_path (value_name) @call))
(method_invocation (method_name) @call)

; imports
(open_module module: (_) @import)
(include_module module: (_) @import)
