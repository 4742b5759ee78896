; definitions
(call target: (identifier) @_define (arguments . (alias) @name) (do_block)
  (#any-of? @_define "defmodule" "defprotocol" "defimpl")) @class
(call target: (identifier) @_define
  (arguments . [(identifier) @name
                (call target: (identifier) @name (arguments) @parameters)
                (binary_operator left: (identifier) @name operator: "when")
                (binary_operator left: (call target: (identifier) @name (arguments) @parameters) operator: "when")])
  (#any-of? @_define "def" "defp" "defmacro" "defmacrop" "defguard" "defguardp" "defdelegate" "defn" "defnp")) @function
(call target: (identifier) @_define (arguments . (binary_operator operator: _ @name))
  (#any-of? @_define "def" "defp" "defmacro" "defmacrop")
  (#not-eq? @name "when")) @function

; calls
(call target: (identifier) @call
  (#not-match? @call "^(def|defp|defmacro|defmacrop|defmodule|defprotocol|defimpl|defguard|defguardp|defdelegate|defstruct|alias|import|require|use|if|unless|case|cond|with|for|quote|unquote|raise|fn|try|receive|doc|moduledoc|spec|type|impl)$"))
(call target: (dot right: (identifier) @call))

; imports
(call target: (identifier) @_import (arguments . (alias) @import)
  (#any-of? @_import "alias" "import" "require" "use"))
(call target: (identifier) @_import (arguments . (dot left: (alias) @import))
  (#any-of? @_import "alias" "import" "require" "use"))
