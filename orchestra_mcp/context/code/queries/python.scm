; definitions
(function_definition name: (identifier) @name parameters: (_) @parameters) @function
(class_definition name: (identifier) @name) @class
(assignment left: (identifier) @name right: (lambda parameters: (_)? @parameters)) @function

; calls
(call function: (identifier) @call)
(call function: (attribute attribute: (identifier) @call))

; imports
(import_statement name: (dotted_name) @import)
(import_statement name: (aliased_import name: (dotted_name) @import))
(import_from_statement module_name: (_) @import)
