; definitions
(class_declaration name: (_) @name) @class
(interface_declaration name: (_) @name) @class
(trait_declaration name: (_) @name) @class
(enum_declaration name: (_) @name) @class
(method_declaration name: (_) @name parameters: (_) @parameters) @function
(function_definition name: (_) @name parameters: (_) @parameters) @function
(assignment_expression left: (variable_name (name) @name)
  right: [(anonymous_function parameters: (_) @parameters) (arrow_function parameters: (_) @parameters)]) @function
(anonymous_class) @owning

; calls
(function_call_expression function: (name) @call)
(function_call_expression function: (qualified_name (name) @call))
(member_call_expression name: (name) @call)
(nullsafe_member_call_expression name: (name) @call)
(scoped_call_expression name: (name) @call)
(object_creation_expression (name) @call)

; imports
(namespace_use_clause [(qualified_name) (name)] @import)
(require_expression (string) @import)
(require_once_expression (string) @import)
(include_expression (string) @import)
(include_once_expression (string) @import)
