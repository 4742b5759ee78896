; definitions
(function_definition name: (word) @name) @function

; calls
(command name: (command_name (word) @call))

; imports
(command name: (command_name (word) @_source) argument: [(word) (string) (raw_string)] @import
  (#any-of? @_source "source" "."))
