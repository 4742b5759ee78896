; sections
(rule (targets) @name (recipe)
  (#not-match? @name "^[.]")) @section
(define_directive name: (_) @name) @section

; imports
(include_directive filenames: (_) @import)
