; definitions
(module name: (_) @name) @class
(class name: (_) @name) @class
(method name: (_) @name parameters: (_)? @parameters) @function
(singleton_method name: (_) @name parameters: (_)? @parameters) @function
(singleton_class) @owning
(call method: (identifier) @_define arguments: (argument_list . [(simple_symbol) (string)] @name)
  block: (_ parameters: (_)? @parameters)
  (#any-of? @_define "define_method" "define_singleton_method")) @function
(assignment left: (constant) @name
  right: (call receiver: (constant) @_maker method: (identifier) @_new block: (_))
  (#any-of? @_maker "Struct" "Class" "Module" "Data") (#any-of? @_new "new" "define")) @class

; calls
(call method: (identifier) @call)

; imports
(call method: (identifier) @_require arguments: (argument_list . (string) @import)
  (#any-of? @_require "require" "require_relative" "load"))
