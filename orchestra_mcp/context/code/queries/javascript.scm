; definitions
(function_declaration name: (_) @name parameters: (_) @parameters) @function
(generator_function_declaration name: (_) @name parameters: (_) @parameters) @function
(class_declaration name: (_) @name) @class
(method_definition name: (_) @name parameters: (_) @parameters) @function
(variable_declarator name: (identifier) @name
  value: [(arrow_function parameters: (_) @parameters)
          (arrow_function parameter: (identifier) @parameters)
          (function_expression parameters: (_) @parameters)
          (generator_function parameters: (_) @parameters)]) @function
(variable_declarator name: (identifier) @name value: (class)) @class
(field_definition property: (_) @name
  value: [(arrow_function parameters: (_) @parameters)
          (arrow_function parameter: (identifier) @parameters)
          (function_expression parameters: (_) @parameters)]) @function
(pair key: (_) @name
  value: [(arrow_function parameters: (_) @parameters)
          (arrow_function parameter: (identifier) @parameters)
          (function_expression parameters: (_) @parameters)]) @function
(assignment_expression
  left: [(identifier) @name (member_expression property: (property_identifier) @name)]
  right: [(arrow_function parameters: (_) @parameters)
          (arrow_function parameter: (identifier) @parameters)
          (function_expression parameters: (_) @parameters)]) @function
(assignment_expression
  left: (member_expression
    object: (member_expression object: (identifier) @owner property: (property_identifier) @_prototype)
    property: (property_identifier) @name)
  right: [(arrow_function parameters: (_) @parameters) (function_expression parameters: (_) @parameters)]
  (#eq? @_prototype "prototype")) @function
(assignment_expression
  left: (member_expression object: (identifier) @owner property: (property_identifier) @name)
  right: [(arrow_function parameters: (_) @parameters) (function_expression parameters: (_) @parameters)]
  (#not-match? @owner "^(exports|module|self|window|globalThis|global)$")) @function
(variable_declarator name: (identifier) @name value: (object)) @scope
(assignment_expression
  left: [(identifier) @name (member_expression property: (property_identifier) @name)]
  right: (class !name)) @class
(assignment_expression right: (class name: (_) @name)) @class
(return_statement (class name: (_) @name) @class)
(export_statement "default" @name
  value: [(function_expression !name parameters: (_) @parameters)
          (arrow_function parameters: (_) @parameters)
          (arrow_function parameter: (identifier) @parameters)]) @function
(export_statement "default" @name value: (class !name)) @class
(program (lexical_declaration (variable_declarator name: (identifier) @name
  value: (call_expression arguments: (arguments
    [(arrow_function body: (statement_block)) (function_expression)])) @_call) @function)
  (#not-match? @_call "^[^(]*[.](map|filter|reduce|forEach|find|then|some|every|flatMap|sort)[(]"))
(program (export_statement (lexical_declaration (variable_declarator name: (identifier) @name
  value: (call_expression arguments: (arguments
    [(arrow_function body: (statement_block)) (function_expression)])) @_call) @function))
  (#not-match? @_call "^[^(]*[.](map|filter|reduce|forEach|find|then|some|every|flatMap|sort)[(]"))

; calls
(call_expression function: (identifier) @call)
(call_expression function: (member_expression property: (property_identifier) @call))
(new_expression constructor: (identifier) @call)
(new_expression constructor: (member_expression property: (property_identifier) @call))

; imports
(import_statement source: (string) @import)
(export_statement source: (string) @import)
(call_expression function: (identifier) @_require arguments: (arguments . (string) @import)
  (#eq? @_require "require"))
(call_expression function: (import) arguments: (arguments . (string) @import))
