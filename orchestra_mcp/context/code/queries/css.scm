; sections
(rule_set (selectors) @name) @section
(keyframes_statement (keyframes_name) @name) @section

; imports
(import_statement [(string_value) (call_expression)] @import)
