"""What the syntax tree of each language gives; expected definitions are read off the small sources by hand."""

from __future__ import annotations

import importlib.util
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_mcp.context.code import languages, parsing, symbols, uses
from orchestra_mcp.context.reading import prose
from orchestra_mcp.types import Definition, Syntax


def syntax_of(path: str, source: str) -> Syntax:
    syntax = symbols.parse(path, dedent(source).lstrip("\n").encode())
    assert syntax is not None
    return syntax


def found(path: str, source: str) -> list[tuple[str, str, int, int]]:
    """Kind, qualified name, first and last line of each definition."""
    return [(d.kind, d.qualified, d.start, d.end) for d in symbols.definitions(syntax_of(path, source), path)]


def definition(path: str, source: str, qualified: str) -> Definition:
    return next(d for d in symbols.definitions(syntax_of(path, source), path) if d.qualified == qualified)


PYTHON = """
import os.path as p, json
from .models import Ledger
from . import settings
from typing import *

LIMIT = 3

@register("x")
@other
class Till(Base):
    '''A till.'''

    @property
    def total(self):  # in cents
        return sum(self.items)

    async def pay(
        self, amount: int, /, *rest, note="", **options
    ) -> None:
        def check(a, b=1):
            return json.loads(a)
        await self.gate.send(check(amount))

    class Slip:
        def show(self): ...

double = lambda x, y=2: x * y

def main():
    Till().pay(1)
"""


def test_python_definitions_nest_and_start_at_their_decorators() -> None:
    assert found("shop/till.py", PYTHON) == [
        ("class", "Till", 8, 25),
        ("method", "Till.total", 13, 15),
        ("method", "Till.pay", 17, 22),
        ("function", "Till.pay.check", 20, 21),
        ("class", "Till.Slip", 24, 25),
        ("method", "Till.Slip.show", 25, 25),
        ("function", "double", 27, 27),
        ("function", "main", 29, 30),
    ]


def test_a_signature_is_one_line_without_decorators_comments_and_body() -> None:
    signatures = {d.name: d.signature for d in symbols.definitions(syntax_of("t.py", PYTHON), "t.py")}
    assert signatures["Till"] == "class Till(Base)"
    assert signatures["total"] == "def total(self)"
    assert signatures["pay"] == 'async def pay( self, amount: int, /, *rest, note="", **options ) -> None'
    assert signatures["show"] == "def show(self)"


def test_python_parameters_mark_defaults_and_the_rest() -> None:
    syntax = syntax_of("t.py", PYTHON)
    by_name = {d.qualified: d for d in symbols.definitions(syntax, "t.py")}
    assert uses.parameters(by_name["Till.pay"], syntax) == ("self", "amount", "*rest", "note=", "**options")
    assert uses.parameters(by_name["Till.pay.check"], syntax) == ("a", "b=")
    assert uses.parameters(by_name["double"], syntax) == ("x", "y=")
    assert uses.parameters(by_name["main"], syntax) == ()
    assert uses.parameters(by_name["Till"], syntax) == ()


def test_python_imports_and_calls_come_in_order() -> None:
    syntax = syntax_of("t.py", PYTHON)
    assert uses.imports(syntax) == ("os.path", "json", ".models", ".", "typing")
    assert uses.calls(syntax, 17, 22) == ("loads", "send", "check")
    assert uses.calls(syntax, 29, 30) == ("Till", "pay")
    assert uses.calls(syntax, 31, 99) == ()


TYPESCRIPT = """
import fs, { readFile } from 'node:fs';
export * from './types';
const path = require('path');

export abstract class Cart<T> extends Base {
  @Log()
  private add(item: T, count = 1, ...more: T[]): void {
    this.check(item);
    new Receipt();
  }
  onPay = async (sum?: number) => { };
  abstract total(): number;
}

export const sum = (a: number, b: number): number => a + b;

interface Shop { open(): void }

namespace Inner {
  function deep() {}
}

const api = {
  get() { return fetch('/x'); },
  post: (body) => body,
};
exports.close = function () {};
"""


def test_typescript_methods_arrow_functions_and_object_members_are_found() -> None:
    assert found("cart.ts", TYPESCRIPT) == [
        ("class", "Cart", 5, 13),
        ("method", "Cart.add", 6, 10),
        ("method", "Cart.onPay", 11, 11),
        ("method", "Cart.total", 12, 12),
        ("function", "sum", 15, 15),
        ("class", "Shop", 17, 17),
        ("method", "Shop.open", 17, 17),
        ("function", "Inner.deep", 20, 20),
        ("function", "api.get", 24, 24),
        ("function", "api.post", 25, 25),
        ("function", "close", 27, 27),
    ]
    syntax = syntax_of("cart.ts", TYPESCRIPT)
    assert uses.imports(syntax) == ("node:fs", "./types", "path")
    assert uses.calls(syntax, 7, 10) == ("check", "Receipt")
    by_name = {d.qualified: d for d in symbols.definitions(syntax, "cart.ts")}
    assert uses.parameters(by_name["Cart.add"], syntax) == ("item", "count=", "*more")
    assert uses.parameters(by_name["Cart.onPay"], syntax) == ("sum=",)
    assert by_name["Cart.add"].signature == "private add(item: T, count = 1, ...more: T[]): void"
    assert by_name["sum"].signature == "sum = (a: number, b: number): number"


def test_tsx_and_javascript_are_read() -> None:
    assert found("page.tsx", "export function Page({ title }: Props) {\n  return <h1>{title}</h1>;\n}\n") == [
        ("function", "Page", 1, 3)
    ]
    source = """
        class A {
          #secret() {}
          static make = x => new A(x);
        }
        A.prototype.late = function (a, b = 2) { };
        function* steps() {}
        export default function () {}
        module.exports = { run() {} };
    """
    assert found("a.jsx", source) == [
        ("class", "A", 1, 4),
        ("method", "A.#secret", 2, 2),
        ("method", "A.make", 3, 3),
        ("method", "A.late", 5, 5),
        ("function", "steps", 6, 6),
        ("function", "default", 7, 7),
        ("function", "run", 8, 8),
    ]
    syntax = syntax_of("a.js", source)
    make, late = (d for d in symbols.definitions(syntax, "a.js") if d.name in ("make", "late"))
    assert uses.parameters(make, syntax) == ("x",)
    assert uses.parameters(late, syntax) == ("a", "b=")


GO = """
package cart

import (
\t"fmt"
\tdb "example.com/shop/db"
)

type Cart struct{ items []int }

type (
\tPricer interface{ Price() int }
)

func (c *Cart) Add(a, b int, rest ...string) error {
\tcheck := func(x int) bool { return x > 0 }
\tfmt.Println(check(a))
\treturn db.Save(c)
}

func (r Ring[T]) Len() int { return 0 }

func New() *Cart { return nil }
"""


def test_go_methods_carry_their_receiver() -> None:
    assert found("cart.go", GO) == [
        ("class", "Cart", 8, 8),
        ("class", "Pricer", 11, 11),
        ("method", "Pricer.Price", 11, 11),
        ("method", "Cart.Add", 14, 18),
        ("function", "Cart.Add.check", 15, 15),
        ("method", "Ring.Len", 20, 20),
        ("function", "New", 22, 22),
    ]
    syntax = syntax_of("cart.go", GO)
    add = definition("cart.go", GO, "Cart.Add")
    assert add.signature == "func (c *Cart) Add(a, b int, rest ...string) error"
    assert uses.parameters(add, syntax) == ("a", "b", "*rest")
    assert uses.imports(syntax) == ("fmt", "example.com/shop/db")
    assert uses.calls(syntax, 14, 18) == ("Println", "check", "Save")


RUST = """
use std::fmt::{self, Display};
use crate::db::Pool as P;
mod store;

pub struct Cart<T> { items: Vec<T> }

impl<T: Display> fmt::Display for Cart<T> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter, mut n: u8) -> fmt::Result {
        write!(f, "{}", price(self.items.len()))
    }
}

trait Pricer {
    fn price(&self) -> u32;
}

enum Kind { A }

mod tests {
    #[test]
    fn works() { Cart::new(); }
}
"""


def test_rust_methods_are_qualified_with_their_type() -> None:
    assert found("cart.rs", RUST) == [
        ("class", "Cart", 5, 5),
        ("method", "Cart.fmt", 8, 11),
        ("class", "Pricer", 14, 16),
        ("method", "Pricer.price", 15, 15),
        ("class", "Kind", 18, 18),
        ("function", "tests.works", 21, 22),
    ]
    syntax = syntax_of("cart.rs", RUST)
    assert uses.parameters(definition("cart.rs", RUST, "Cart.fmt"), syntax) == ("self", "f", "n")
    assert uses.imports(syntax) == ("std::fmt", "crate::db::Pool", "store")
    assert uses.calls(syntax, 9, 11)[0] == "write"
    assert uses.calls(syntax, 22, 22) == ("new",)


def test_java_and_kotlin_definitions() -> None:
    java = """
        package shop;
        import java.util.List;
        import static shop.Money.*;

        public class Cart<T> extends Base {
            @Override
            public int total(int tax, String... notes) {
                return this.sum(new Money(tax));
            }
            Cart() {}
            record Line(int n) {}
            enum Kind { A }
        }
        interface Pricer { int price(); }
    """
    assert found("Cart.java", java) == [
        ("class", "Cart", 5, 13),
        ("method", "Cart.total", 6, 9),
        ("method", "Cart.Cart", 10, 10),
        ("class", "Cart.Line", 11, 11),
        ("class", "Cart.Kind", 12, 12),
        ("class", "Pricer", 14, 14),
        ("method", "Pricer.price", 14, 14),
    ]
    syntax = syntax_of("Cart.java", java)
    assert uses.parameters(definition("Cart.java", java, "Cart.total"), syntax) == ("tax", "*notes")
    assert uses.imports(syntax) == ("java.util.List", "shop.Money")
    assert uses.calls(syntax, 8, 8) == ("sum", "Money")
    kotlin = """
        package shop

        import shop.db.Pool

        class Cart(val n: Int) : Base() {
            fun total(tax: Int = 3, note: String): Int {
                return pool.sum(tax)
            }

            companion object {
                fun make() {}
            }
        }

        object Registry {
        }

        fun String.shout() = uppercase()
    """
    assert found("Cart.kt", kotlin) == [
        ("class", "Cart", 5, 13),
        ("method", "Cart.total", 6, 8),
        ("method", "Cart.make", 11, 11),
        ("class", "Registry", 15, 16),
        ("method", "String.shout", 18, 18),
    ]
    syntax = syntax_of("Cart.kt", kotlin)
    assert uses.parameters(definition("Cart.kt", kotlin, "Cart.total"), syntax) == ("tax=", "note")
    assert uses.calls(syntax, 7, 7) == ("sum",)
    assert uses.imports(syntax) == ("shop.db.Pool",)


def test_c_and_cpp_definitions() -> None:
    c = """
        #include <stdio.h>
        #include "cart.h"
        struct cart { int n; };
        typedef struct { int n; } line_t;
        int declared(int a);
        static char **names(struct cart *c, int n) {
            printf("%d", c->price(n));
            return 0;
        }
    """
    assert found("cart.c", c) == [
        ("class", "cart", 3, 3),
        ("class", "line_t", 4, 4),
        ("function", "names", 6, 9),
    ]
    syntax = syntax_of("cart.c", c)
    assert uses.parameters(definition("cart.c", c, "names"), syntax) == ("c", "n")
    assert uses.imports(syntax) == ("stdio.h", "cart.h")
    assert uses.calls(syntax, 6, 9) == ("printf", "price")
    cpp = """
        namespace shop {
        class Cart : public Base {
         public:
          int size() const { return n_; }
          int declared(int x = 1);
          ~Cart() {}
        };
        int Cart::price(const Item &item, int n) {
          return money::round(item);
        }
        template <class T>
        T *make(T a) { return new Cart(a); }
        }
        bool operator==(Cart a, Cart b) { return true; }
        int Ring<int>::push() { return 0; }
    """
    expected = [
        ("class", "shop.Cart", 2, 7),
        ("method", "shop.Cart.size", 4, 4),
        ("method", "shop.Cart.~Cart", 6, 6),
        ("method", "shop.Cart.price", 8, 10),
        ("function", "shop.make", 11, 12),
        ("function", "operator==", 14, 14),
        ("method", "Ring.push", 15, 15),
    ]
    assert found("cart.cpp", cpp) == expected
    assert found("cart.h", cpp) == expected
    syntax = syntax_of("cart.h", cpp)
    assert syntax.language == "cpp"
    assert uses.parameters(definition("cart.cpp", cpp, "shop.Cart.price"), syntax) == ("item", "n")
    assert uses.calls(syntax, 8, 12) == ("round", "Cart")


@pytest.mark.parametrize(
    ("path", "source", "expected", "imports"),
    [
        (
            "Cart.cs",
            ("using System.Text;\nnamespace Shop {\n  class Cart : Base {\n    public int Total(int tax, int n = 2) {\n"
            "      return Sum(tax);\n    }\n    Cart() { }\n  }\n}\n"),
            [("class", "Cart", 3, 8), ("method", "Cart.Total", 4, 6), ("method", "Cart.Cart", 7, 7)],
            ("System.Text",),
        ),
        (
            "cart.rb",
            ("require 'json'\nmodule Shop\n  class Cart < Base\n    def total(tax, n = 2)\n      sum(tax)\n    end\n"
            "    def self.make; end\n  end\nend\n"),
            [
                ("class", "Shop", 2, 9), ("class", "Shop.Cart", 3, 8),
                ("method", "Shop.Cart.total", 4, 6), ("method", "Shop.Cart.make", 7, 7),
            ],
            ("json",),
        ),
        (
            "cart.php",
            ("<?php\nnamespace Shop;\nuse Db\\Pool;\nclass Cart {\n  public function total($tax, $n = 2) {\n"
            "    return $this->sum($tax);\n  }\n}\nfunction helper() {}\n"),
            [("class", "Cart", 4, 8), ("method", "Cart.total", 5, 7), ("function", "helper", 9, 9)],
            ("Db\\Pool",),
        ),
        (
            "Cart.swift",
            ("import Foundation\nclass Cart: Base {\n  func total(_ tax: Int, n: Int = 2) -> Int {\n    return sum(tax)\n"
            "  }\n  init(n: Int) {}\n}\nextension Cart {\n  func more() {}\n}\n"),
            [
                ("class", "Cart", 2, 7), ("method", "Cart.total", 3, 5), ("method", "Cart.init", 6, 6),
                ("class", "Cart", 8, 10), ("method", "Cart.more", 9, 9),
            ],
            ("Foundation",),
        ),
        (
            "run.sh",
            "source ./lib.sh\ngreet() {\n  echo hi\n}\nfunction leave {\n  exit 1\n}\n",
            [("function", "greet", 2, 4), ("function", "leave", 5, 7)],
            ("./lib.sh",),
        ),
    ],
)  # fmt: skip
def test_the_other_languages(
    path: str, source: str, expected: list[tuple[str, str, int, int]], imports: tuple[str, ...]
) -> None:
    assert found(path, source) == expected
    syntax = syntax_of(path, source)
    assert uses.imports(syntax) == imports
    total = [d for d in symbols.definitions(syntax, path) if d.name.lower() == "total"]
    assert [uses.parameters(d, syntax) for d in total] in ([], [("tax", "n=")])
    if total:
        assert [name.lower() for name in uses.calls(syntax, total[0].start, total[0].end)] == ["sum"]


def test_every_language_of_the_table_has_a_grammar_and_queries_that_compile() -> None:
    for row in languages.LANGUAGES:
        if row.extra and importlib.util.find_spec(row.module) is None:
            continue
        assert languages.grammar(row.name) is not None, row.name
        sections: tuple[languages.Section, ...] = ("sections",) if row.markup else ("definitions", "calls")
        for section in sections:
            assert languages.query(row.name, section) is not None, (row.name, section)
        languages.query(row.name, "imports")


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a/b/c.py", "python"), ("C:\\x\\Main.KT", "kotlin"), ("x.d.ts", "typescript"), ("Rakefile", "ruby"),
        ("a.hpp", "cpp"), ("README", None), ("notes.md", None), ("py", None), ("dir.py/file", None), ("", None),
    ],
)  # fmt: skip
def test_the_language_of_a_file_is_told_by_its_name(path: str, language: str | None) -> None:
    assert languages.language_of(path) == language


def test_binary_large_and_unknown_files_are_not_parsed() -> None:
    assert symbols.parse("a.py", b"x = 1\0") is None
    assert symbols.parse("a.py", b"#" * (parsing.MAX_BYTES + 1)) is None
    assert symbols.parse("a.txt", b"x") is None
    assert symbols.parse("a.py", b"") is not None


@pytest.mark.parametrize("garbage", [b"(" * 400_000, b"x = 1\n" + b"{" * 200_000, b"def f(" * 60_000])
def test_garbage_that_would_take_a_minute_is_given_up(garbage: bytes) -> None:
    assert symbols.parse("a.py", garbage) is None


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "a.py",
            "def before():\n    pass\n\ndef broken(a):\n    x = (1 +\n    return x.\n\ndef after(a):\n    return a\n",
        ),
        ("a.py", "class A:\n  def before(self): pass\n\n  def broken(self)\n    return 1\n\n  def after(self): pass\n"),
        ("a.ts", "function before() {}\nfunction broken( {\n  const x = ;\n}\nclass A { after() {} }\n"),
        ("a.rs", "fn before() {}\nfn broken() { let x = ; }\nimpl A { fn after() {} }\n"),
        ("A.java", "class A { void before() {}\n void broken() { int x = ; }\n void after() {} }\n"),
        ("a.go", "package a\nfunc before() {}\nfunc broken() { x := ; }\nfunc (c *Cart) after() {}\n"),
    ],
)
def test_a_broken_file_gives_the_definitions_around_the_error(path: str, source: str) -> None:
    names = [d.name for d in symbols.definitions(syntax_of(path, source), path)]
    assert "before" in names
    assert "after" in names


def test_the_enclosing_definition_is_the_innermost() -> None:
    definitions = symbols.definitions(syntax_of("t.py", PYTHON), "t.py")

    def around(line: int) -> str | None:
        innermost = symbols.enclosing(definitions, line)
        return innermost.qualified if innermost is not None else None

    assert [around(line) for line in (1, 8, 13, 15, 18, 21, 22, 25, 30)] == [
        None, "Till", "Till.total", "Till.total", "Till.pay", "Till.pay.check", "Till.pay", "Till.Slip.show", "main",
    ]  # fmt: skip


def test_identifiers_are_found_in_prose_the_most_specific_first() -> None:
    text = (
        "When I call get_user() the `Ledger.reserve` method raises ValueError, see https://example.com/fooBar.html. "
        "MAX_SIZE and fooBar are set in settings.py; `cache` is empty. std::fmt::Display too. JavaScript works.Then not."
    )
    assert prose.identifiers(text) == (
        "Ledger.reserve", "std.fmt.Display", "cache", "get_user", "ValueError", "MAX_SIZE", "fooBar",
    )  # fmt: skip


def test_plain_english_has_no_identifiers() -> None:
    text = "The server is slow when I start it, e.g. after lunch. Why? It was OK on Monday (and on GitHub). `the` is `true`."
    assert prose.identifiers(text) == ()


@given(st.text())
def test_identifiers_never_raise(text: str) -> None:
    assert len(set(prose.identifiers(text))) == len(prose.identifiers(text))


@given(st.sampled_from([row.suffixes[0] for row in languages.LANGUAGES]), st.binary(max_size=400))
def test_any_bytes_can_be_parsed(suffix: str, source: bytes) -> None:
    syntax = symbols.parse("file" + suffix, source)
    if syntax is None:
        return
    lines = source.count(b"\n") + 1
    for item in symbols.definitions(syntax, "file"):
        assert 1 <= item.start <= item.end <= lines
        uses.parameters(item, syntax)
    uses.calls(syntax, 1, lines)
    uses.imports(syntax)
