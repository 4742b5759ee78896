; definitions
(function_declarator declarator: (identifier) @name parameters: (_) @parameters) @declarator
(function_declarator declarator: (field_identifier) @name parameters: (_) @parameters) @declarator
(function_declarator declarator: (destructor_name) @name parameters: (_) @parameters) @declarator
(function_declarator declarator: (operator_name) @name parameters: (_) @parameters) @declarator
(function_declarator declarator: (qualified_identifier) @name parameters: (_) @parameters) @declarator
(class_specifier name: (_) @name body: (_)) @class
(struct_specifier name: (_) @name body: (_)) @class
(union_specifier name: (_) @name body: (_)) @class
(enum_specifier name: (_) @name body: (_)) @class
(namespace_definition name: (_) @name) @scope
(preproc_function_def name: (_) @name parameters: (_) @parameters) @function
(function_definition declarator: (operator_cast) @name @declarator)
(qualified_identifier name: (operator_cast)) @name @declarator
(init_declarator declarator: (identifier) @name
  value: (lambda_expression declarator: (abstract_function_declarator parameters: (_) @parameters)?)) @function
(type_definition type: [(struct_specifier !name body: (_)) (union_specifier !name body: (_)) (enum_specifier !name body: (_))]
  declarator: (type_identifier) @name) @class
; int f() NOEXCEPT_MACRO { … }
(function_definition (ERROR (init_declarator declarator: [(identifier) (qualified_identifier)] @name value: (argument_list)))
  declarator: (identifier) body: (compound_statement)) @function
(concept_definition name: (_) @name) @class
; class EXPORT Name : Base { … } is taken for a function: the grammar does not know that EXPORT is a macro
(function_definition type: [(class_specifier !body) (struct_specifier !body)] declarator: (identifier) @name) @class

; calls
(call_expression function: (identifier) @call)
(call_expression function: (field_expression field: (field_identifier) @call))
(call_expression function: (qualified_identifier name: (identifier) @call))
(call_expression function: (template_function name: (identifier) @call))
(call_expression function: (qualified_identifier name: (template_function name: (identifier) @call)))
(new_expression type: (type_identifier) @call)

; imports
(preproc_include path: (_) @import)
