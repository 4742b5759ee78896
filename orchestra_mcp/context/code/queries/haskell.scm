; definitions
(data_type name: (_) @name) @class
(newtype name: (_) @name) @class
(type_synonym name: (_) @name) @class
(class name: (_) @name) @class
(instance name: (_) @name) @class
(function name: (variable) @name patterns: (_) @parameters) @function
(function name: (variable) @name) @function
(declarations (bind name: (variable) @name) @function)

; calls
(apply function: (variable) @call)
(apply function: (qualified id: (variable) @call))

; imports
(import module: (_) @import)
