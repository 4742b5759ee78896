; definitions
(class_definition name: (_) @name) @class
(object_definition name: (_) @name) @class
(package_object name: (_) @name) @class
(trait_definition name: (_) @name) @class
(enum_definition name: (_) @name) @class
(given_definition name: (_) @name) @class
(extension_definition parameters: (parameters (parameter
  type: [(type_identifier) @name (generic_type type: (type_identifier) @name)]))) @owning
(extension_definition) @owning
(instance_expression (template_body)) @owning
(function_definition name: (_) @name parameters: (_)? @parameters) @function
(function_declaration name: (_) @name parameters: (_)? @parameters) @function
(val_definition pattern: (identifier) @name value: (lambda_expression)) @function

; calls
(call_expression function: (identifier) @call)
(call_expression function: (field_expression field: (identifier) @call))
(call_expression function: (generic_function function: (identifier) @call))
(call_expression function: (generic_function function: (field_expression field: (identifier) @call)))
(instance_expression (type_identifier) @call)
(instance_expression (generic_type type: (type_identifier) @call))
(infix_expression operator: (identifier) @call)

; imports
(import_declaration) @import
