; definitions
(module name: (_) @name) @class
(class name: (_) @name) @class
(method name: (_) @name parameters: (_)? @parameters) @function
(singleton_method name: (_) @name parameters: (_)? @parameters) @function

; calls
(call method: (identifier) @call)

; imports
(call method: (identifier) @_require arguments: (argument_list . (string) @import)
  (#any-of? @_require "require" "require_relative" "load"))
