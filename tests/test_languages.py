"""Definitions and sections in each language, on small files with the constructs that are easily got wrong.

The expected lines are counted in the sources by hand: the first line of a source is line 1.
"""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_mcp.context.code import languages, parsing, symbols, uses
from orchestra_mcp.types import Definition

# One file per language: path, source, and kind, qualified name, first and last line of each definition. Add here.
CASES: dict[str, tuple[str, str, str]] = {
    "typescript": ("a.ts", """
        export default function (a: string) {
          return a;
        }
        function over(a: string): void;
        function over(a: number): void;
        function over(a: any) {
        }
        type Props = { a: number };
        @Component({ selector: "x" })
        export class Page<T> extends Base {
          over(a: string): void;
          over(a: any) {}
          @Input()
          get value() { return 1; }
          static async *steps() {}
        }
        const Memo = React.memo(({ a }) => {
          return a;
        });
        export const handler = withAuth(options, async (ctx) => {
          return 1;
        });
        const names = list.map((x) => { return x.name; });
        declare module "foo" {
          function inside(): void;
        }
    """, """
        function default 1-3 | function over 4-4 | function over 5-5 | function over 6-7 | class Props 8-8
        class Page 9-16 | method Page.over 11-11 | method Page.over 12-12 | method Page.value 13-14
        method Page.steps 15-15 | function Memo 17-19 | function handler 20-22 | function foo.inside 25-25
    """),
    "javascript": ("a.js", """
        module.exports = {
          load() {},
          save: function (a) {
          },
        };
        exports.Cart = class {
          total() {}
        };
        Cart.prototype.late = (x) => 1;
        app.handle = function handle(req) {
        };
        exports.plain = () => {};
        export default async () => {
        };
        return_it(class {});
        function mixin(Base) {
          return class Mixed extends Base {
            run() {}
          };
        }
    """, """
        function load 2-2 | function save 3-4 | class Cart 6-8 | method Cart.total 7-7 | method Cart.late 9-9
        method app.handle 10-11 | function plain 12-12 | function default 13-14 | function mixin 16-20
        class mixin.Mixed 17-19 | method mixin.Mixed.run 18-18
    """),
    "go": ("a.go", """
        package a

        type (
        \tA struct{}
        \tB interface {
        \t\tGet(k string) int
        \t}
        \tHandler func(int) error
        )

        type ID = string

        func (a *Map[K, V]) Get(k K) V {
        \treturn a.m[k]
        }

        func Map2[T, U any](xs []T, f func(T) U) []U {
        \treturn nil
        }

        var handler = func(w int) {
        }
    """, """
        class A 4-4 | class B 5-7 | method B.Get 6-6 | class Handler 8-8 | class ID 11-11 | method Map.Get 13-15
        function Map2 17-19 | function handler 21-22
    """),
    "rust": ("a.rs", """
        #[derive(Debug)]
        /// A stack.
        #[repr(C)]
        pub struct Stack<T> {
            items: Vec<T>,
        }

        impl<'a, T> Iterator for &'a Stack<T> {
            fn next(&mut self) -> Option<T> {
                None
            }
        }

        impl<T: ?Sized> Show for dyn Draw<T> {
            fn show(&self) {}
        }

        impl Show for [u8] {
            fn show(&self) {}
        }

        pub mod outer {
            pub mod inner {
                pub async unsafe fn deep() {
                    fn local() {}
                }
            }
        }

        #[macro_export]
        macro_rules! shout {
            () => {};
        }

        extern "C" {
            fn ext(a: i32);
        }
    """, """
        class Stack 1-6 | method Stack.next 9-11 | method Draw.show 15-15 | method show 19-19
        function outer.inner.deep 24-26 | function outer.inner.deep.local 25-25 | function shout 30-33
        function ext 36-36
    """),
    "java": ("A.java", """
        @Entity(name = "x")
        // where points live
        public record Point<T>(@Nullable int x, int y) implements Shape {
            Point {
                check(x);
            }
            static int sum() {
                Runnable task = new Runnable() {
                    @Override
                    public void run() {
                        go();
                    }
                };
                return 1;
            }
        }
        enum Op {
            PLUS("+") {
                int apply(int a) { return a; }
            };
            abstract int apply(int a);
        }
        @interface Named {
            String value() default "";
        }
    """, """
        class Point 1-16 | method Point.Point 4-6 | method Point.sum 7-15 | method Point.sum.run 9-12
        class Op 17-22 | method Op.PLUS.apply 19-19 | method Op.apply 21-21
        class Named 23-25 | method Named.value 24-24
    """),
    "kotlin": ("a.kt", """
        data class Cart<T>(val n: Int) : Base() {
            companion object Factory {
                fun of() = 1
            }
            val total: Int
                get() = 3
            inner class Line {
                constructor(a: Int) {
                }
            }
        }

        fun <T> List<T>.second(): T = this[1]

        suspend inline fun <reified T> load(crossinline f: (T) -> Unit) {
        }

        enum class Op {
            PLUS {
                override fun apply() = 1
            };
            abstract fun apply(): Int
        }

        interface Shape {
            fun area(): Int
        }
    """, """
        class Cart 1-11 | method Cart.of 3-3 | method Cart.total 5-6 | class Cart.Line 7-10
        method Cart.Line.constructor 8-9 | method List.second 13-13 | function load 15-16
        class Op 18-23 | method Op.PLUS.apply 20-20 | method Op.apply 22-22
        class Shape 25-27 | method Shape.area 26-26
    """),
    "c": ("a.c", """
        #define MAX(a, b) \\
            ((a) > (b) ? (a) : (b))

        typedef struct {
            int n;
        } line_t;

        static inline const char *name_of(struct cart *c)
        {
            return c->name;
        }

        void (*handler(int a))(int) {
            return 0;
        }

        int declared(int a);
    """, """
        function MAX 1-2 | class line_t 4-6 | function name_of 8-11 | function handler 13-15
    """),
    "cpp": ("a.cpp", """
        template <> struct hash<Foo> {
          size_t operator()(const Foo& f) const { return 1; }
        };

        namespace a::b {
        inline namespace v1 {
        template <typename T>
        requires true
        T twice(T x) {
          return x;
        }
        }
        }

        class API_EXPORT Widget : public Base {
          Q_OBJECT
         public:
          Widget() = default;
          explicit operator bool() const { return true; }
        };

        template <typename T>
        Ring<T>::Ring(int n) : n_(n) {
        }

        Ring::operator bool() const { return true; }

        template <class C>
        typename std::vector<C>::iterator
        Store<C>::
        first(void)
        {
          auto half = [](int x) { return x / 2; };
        }

        int quiet() NO_THROW_MACRO
        {
          return 1;
        }
    """, """
        class hash 1-3 | method hash.operator() 2-2 | function a.b.v1.twice 7-11 | class Widget 15-20
        method Widget.Widget 18-18 | method Widget.operator bool 19-19 | method Ring.Ring 22-24
        method Ring.operator bool 26-26 | method Store.first 28-34 | function Store.first.half 33-33
        function quiet 36-39
    """),
    "c_sharp": ("a.cs", """
        namespace Shop;

        [Serializable]
        public partial class Cart<T> : Base where T : new()
        {
            public int Total { get { return 1; } set { } }
            public int Half => Total / 2;
            public int Plain { get; set; }
            public int this[int i] { get { return i; } }
            [Obsolete]
            void IShop.Open()
            {
                int Local(int q) => q;
            }
        }
        public record struct Point(int X);
        public delegate void Changed(int a);
    """, """
        class Cart 3-15 | method Cart.Total 6-6 | method Cart.Half 7-7 | method Cart.this 9-9 | method Cart.Open 10-14
        function Cart.Open.Local 13-13 | class Point 16-16 | class Changed 17-17
    """),
    "ruby": ("a.rb", """
        module Shop::Sales
          class Cart < Struct.new(:a)
            class << self
              def make(x) = x
            end
            define_method(:dynamic) do |a, b|
              a
            end
            Point = Struct.new(:x) do
              def dist
                x
              end
            end
            private def hidden; end
            def name=(v); end
          end
        end
    """, """
        class Shop.Sales 1-17 | class Shop.Sales.Cart 2-16 | method Shop.Sales.Cart.make 4-4
        method Shop.Sales.Cart.dynamic 6-8 | class Shop.Sales.Cart.Point 9-13 | method Shop.Sales.Cart.Point.dist 10-12
        method Shop.Sales.Cart.hidden 14-14 | method Shop.Sales.Cart.name= 15-15
    """),
    "php": ("a.php", """
        <?php
        namespace Shop\\Sales;

        #[Entity]
        abstract class Cart
        {
            use Counts;
            abstract function open();
            public static function sum(int ...$x): static
            {
                return new class {
                    function inner() {}
                };
            }
        }
        trait Counts { function count() {} }
        enum Suit: string
        {
            case Hearts = 'h';
            public function label(): string { return ''; }
        }
    """, """
        class Cart 4-15 | method Cart.open 8-8 | method Cart.sum 9-14 | method Cart.sum.inner 12-12
        class Counts 16-16 | method Counts.count 16-16 | class Suit 17-21 | method Suit.label 20-20
    """),
    "swift": ("a.swift", """
        @MainActor
        public final class Cart<T>: Base {
            var total: Int {
                return 1
            }
            subscript(i: Int) -> Int {
                get { 1 }
            }
            static func == (a: Cart, b: Cart) -> Bool { true }
            deinit { }
        }
        extension Shop.Cart: Shape where T == Int {
            func area() async throws {}
        }
        actor Store {
            func load() {}
        }
        protocol Shape {
            func area(a: Int)
        }
    """, """
        class Cart 1-11 | method Cart.total 3-5 | method Cart.subscript 6-8 | method Cart.== 9-9 | method Cart.deinit 10-10
        class Shop.Cart 12-14 | method Shop.Cart.area 13-13 | class Store 15-17 | method Store.load 16-16
        class Shape 18-20 | method Shape.area 19-19
    """),
    "scala": ("a.scala", """
        package shop
        import a.b.{C, D}

        @main
        case class Cart[T](items: List[T]) extends Base {
          def total(tax: Int = 3, notes: String*): Int = {
            def inner(a: Int) = a
            pool.sum(tax)
          }
          val double = (x: Int) => x * 2
        }
        object Cart {
          def apply() = new Cart(Nil)
        }
        trait Pricer { def price: Int }
        enum Color:
          case Red
          def hex: String = "x"
        extension (s: String)
          def shout: String = s.toUpperCase
        given intOrd: Ordering[Int] with
          def compare(a: Int, b: Int) = 1
    """, """
        class Cart 4-11 | method Cart.total 6-9 | function Cart.total.inner 7-7 | method Cart.double 10-10
        class Cart 12-14 | method Cart.apply 13-13 | class Pricer 15-15 | method Pricer.price 15-15
        class Color 16-18 | method Color.hex 18-18 | method String.shout 20-20
        class intOrd 21-22 | method intOrd.compare 22-22
    """),
    "groovy": ("build.gradle", """
        import shop.Pool

        class Cart extends Base {
            int total(int tax) {
                return sum(tax)
            }
        }
        def helper(int x) {
            go()
        }
    """, """
        class Cart 3-7 | method Cart.total 4-6 | function helper 8-10
    """),
    "dart": ("a.dart", """
        import 'package:shop/pool.dart';

        @immutable
        abstract class Cart<T> extends Base with Counts {
          Cart(this.n, {required int tax, int x = 1});
          factory Cart.make(Map m) {
            return Cart(1);
          }
          int get total => n;
          @override
          Future<void> total_(int tax, [int b = 2]) async {
            int inner(int q) {
              return q;
            }
            await gate.sum(tax);
          }
          int abs();
        }
        mixin Counts on Base {
          void count() {}
        }
        extension Loud on String {
          String shout() => toUpperCase();
        }
        int top(int a) {
          return a;
        }
    """, """
        class Cart 3-18 | method Cart.Cart 5-5 | method Cart.make 6-8 | method Cart.total 9-9 | method Cart.total_ 10-16
        function Cart.total_.inner 12-14 | method Cart.abs 17-17 | class Counts 19-21 | method Counts.count 20-20
        class Loud 22-24 | method Loud.shout 23-23 | function top 25-27
    """),
    "elixir": ("a.ex", '''
        defmodule Shop.Cart do
          alias Shop.Pool

          @doc """
          The total.
          """
          @spec total(integer) :: integer
          def total(tax, opts \\\\ [])
          def total(0, _), do: 0
          def total(tax, opts) when is_integer(tax) do
            Pool.sum(tax)
          end

          defp helper(x), do: x
          defmacro debug(a) do
            a
          end
          def no_arguments do
            1
          end
          defmodule Inner do
            def a + b, do: a
          end
        end
        defprotocol Size do
          def size(x)
        end
    ''', """
        class Shop.Cart 1-24 | method Shop.Cart.total 4-8 | method Shop.Cart.total 9-9 | method Shop.Cart.total 10-12
        method Shop.Cart.helper 14-14 | method Shop.Cart.debug 15-17 | method Shop.Cart.no_arguments 18-20
        class Shop.Cart.Inner 21-23 | method Shop.Cart.Inner.+ 22-22 | class Size 25-27 | method Size.size 26-26
    """),
    "lua": ("a.lua", """
        local json = require("json")
        local M = {}
        function M.total(tax, ...)
          return json.sum(tax)
        end
        M.half = function(x)
          return x / 2
        end
        local function helper(n) end
        function M.sub:go() self:stop() end
        local handlers = {
          run = function(z) end,
        }
        return M
    """, """
        method M.total 3-5 | method M.half 6-8 | function helper 9-9 | method M.sub.go 10-10
        function handlers.run 12-12
    """),
    "zig": ("a.zig", """
        const std = @import("std");
        pub const Cart = struct {
            n: u8,
            pub fn total(self: *Cart, tax: u8) !u8 {
                return sum(tax);
            }
        };
        const Kind = enum { a, b };
        test "adds" {
            try std.testing.expect(true);
        }
    """, """
        class Cart 2-7 | method Cart.total 4-6 | class Kind 8-8 | function adds 9-11
    """),
    "powershell": ("a.ps1", """
        function Get-Cart {
            param($tax)
            Get-Sum $tax
        }
        class Cart {
            [int] Total([int]$tax) {
                return 1
            }
        }
    """, """
        function Get-Cart 1-4 | class Cart 5-9 | method Cart.Total 6-8
    """),
    "haskell": ("a.hs", """
        module Shop.Cart where
        import Data.List (sort)
        data Cart = Cart { n :: Int }
        class Pricer a where
          price :: a -> Int
        instance Pricer Cart where
          price c = n c
        total :: Int -> Int
        total 0 = 0
        total x = y + go x
          where go z = z
    """, """
        class Cart 3-3 | class Pricer 4-5 | class Pricer 6-7 | method Pricer.price 7-7
        function total 9-9 | function total 10-11 | function total.go 11-11
    """),
    "julia": ("a.jl", """
        module Shop
        abstract type Base end
        mutable struct Cart{T} <: Base
          n::Int
        end
        function total(tax::Int, n=2; kw=1) where T
          sum(tax)
        end
        short(x) = x + 1
        macro twice(a)
          a
        end
        end
    """, """
        class Shop.Base 2-2 | class Shop.Cart 3-5 | function Shop.total 6-8 | function Shop.short 9-9
        function Shop.twice 10-12
    """),
    "objc": ("a.m", """
        #import "Cart.h"
        @interface Cart : NSObject
        - (int)total:(int)tax note:(NSString *)n;
        @end
        @implementation Cart
        - (int)total:(int)tax note:(NSString *)n {
          return [self sum:tax];
        }
        @end
        static int helper(int a) { return a; }
    """, """
        class Cart 2-4 | method Cart.total 3-3 | class Cart 5-9 | method Cart.total 6-8 | function helper 10-10
    """),
    "ocaml": ("a.ml", """
        open List
        module Cart = struct
          type t = { n : int }
          let total tax =
            sum tax
          let rec go = function 0 -> 1 | n -> go n
        end
        let helper a = a
        let value = 3
    """, """
        class Cart 2-7 | class Cart.t 3-3 | method Cart.total 4-5 | method Cart.go 6-6 | function helper 8-8
    """),
    "sql": ("a.sql", """
        CREATE TABLE shop.cart (
          id int PRIMARY KEY
        );
        CREATE VIEW totals AS SELECT * FROM cart;
        CREATE OR REPLACE FUNCTION total(tax int) RETURNS int AS $$ SELECT 1 $$ LANGUAGE sql;
        SELECT sum(a) FROM cart;
    """, """
        class cart 1-3 | class totals 4-4 | function total 5-5
    """),
}  # fmt: skip


def listed(found: tuple[Definition, ...]) -> list[str]:
    return [f"{d.kind} {d.qualified} {d.start}-{d.end}" for d in found]


def expected(text: str) -> list[str]:
    return [entry.strip() for line in text.strip().splitlines() for entry in line.split(" | ")]


def text_of(language: str) -> bytes:
    return dedent(CASES[language][1]).lstrip("\n").encode()


def installed(language: str) -> bool:
    row = languages.language(language)
    return not row.extra or importlib.util.find_spec(row.module) is not None


@pytest.mark.parametrize("language", CASES)
def test_the_definitions_of_each_language_with_their_lines(language: str) -> None:
    if not installed(language):
        pytest.skip("comes with the extra `languages`")
    path, _, wanted = CASES[language]
    syntax = symbols.parse(path, text_of(language))
    assert syntax is not None
    assert syntax.language == language
    assert listed(symbols.definitions(syntax, path)) == expected(wanted)


@pytest.mark.parametrize("language", ["scala", "groovy", "dart", "elixir", "lua", "zig", "julia"])
def test_calls_and_parameters_of_the_total_function(language: str) -> None:
    if not installed(language):
        pytest.skip("comes with the extra `languages`")
    path = CASES[language][0]
    syntax = symbols.parse(path, text_of(language))
    assert syntax is not None
    total = [d for d in symbols.definitions(syntax, path) if d.name in ("total", "total_")][-1]
    assert "sum" in uses.calls(syntax, total.start, total.end)
    assert uses.parameters(total, syntax) == {
        "scala": ("tax=", "*notes"), "groovy": ("tax",), "dart": ("tax", "b="), "elixir": ("tax", "opts"),
        "lua": ("tax", "*_"), "zig": ("self", "tax"), "julia": ("tax", "n=", "kw="),
    }[language]  # fmt: skip


@pytest.mark.parametrize(
    ("language", "modules"),
    [
        ("dart", ("package:shop/pool.dart",)), ("elixir", ("Shop.Pool",)), ("lua", ("json",)), ("zig", ("std",)),
        ("groovy", ("shop.Pool",)), ("objc", ("Cart.h",)), ("haskell", ("Data.List",)), ("ocaml", ("List",)),
        ("scala", ("a.b.{C, D}",)),
    ],
)  # fmt: skip
def test_imports_are_named_as_the_source_does(language: str, modules: tuple[str, ...]) -> None:
    if not installed(language):
        pytest.skip("comes with the extra `languages`")
    syntax = symbols.parse(CASES[language][0], text_of(language))
    assert syntax is not None
    assert uses.imports(syntax) == modules


SECTIONS = {
    "pyproject.toml": ("""
        top = 1
        [tool.ruff]
        line-length = 120
        [[package]]
        name = "a"
    """, "section tool.ruff 2-3 | section package 4-5"),
    "compose.yml": ("""
        version: 3
        services:
          web:
            image: x
          db: {image: y}
          note: text
        run: |
          a: 1
        ---
        "other":
          - name: z
    """, "section services 2-6 | section services.web 3-4 | section services.db 5-5 | section other 10-11"),
    "package.json": ("""
        {
          "name": "x",
          "scripts": {
            "test": "a",
            "deep": {
              "deeper": {"z": 1}
            }
          },
          "empty": {}
        }
    """, "section scripts 3-8 | section scripts.deep 5-7"),
    "page.html": ("""
        <html><body>
        <section class="x" id="top">
          <form id=login><input></form>
        </section>
        <p>no name</p>
        </body></html>
    """, "section top 2-4 | section top.login 3-3"),
    "site.css": ("""
        .a, .b > c {
          color: red;
        }
        @media (max-width: 3px) {
          .d { x: y }
        }
        @keyframes spin { from { a: b } }
    """, "section .a, .b > c 1-3 | section .d 5-5 | section spin 7-7"),
    "README.md": ("""
        # Title
        text
        ## Install it
        more
        # Other
        end
    """, "section Title 1-4 | section Title.Install it 3-4 | section Other 5-6"),
    "main.tf": ("""
        resource "aws_instance" "web" {
          ami = "x"
        }
        locals { x = 1 }
    """, "section resource.aws_instance.web 1-3 | section locals 4-4"),
    "Makefile": ("CC = gcc\nall: build\n\techo hi\n.PHONY: all\n\nbuild:\n\tcc\n",
                 "section all 2-3 | section build 6-7"),
}  # fmt: skip


@pytest.mark.parametrize("path", SECTIONS)
def test_sections_of_data_and_markup_are_what_a_person_would_name(path: str) -> None:
    source, wanted = SECTIONS[path]
    source = dedent(source).lstrip("\n")
    assert listed(symbols.sections(path, source.encode())) == expected(wanted)
    assert symbols.parse(path, source.encode()) is None
    assert languages.language_of(path) is None


def test_code_has_no_sections_and_large_data_keeps_its_longest() -> None:
    assert symbols.sections("a.py", b"def f(): pass\n") == ()
    rules = [f".r{n} {{\n" + "  x: y;\n" * (n % 2) + "}" for n in range(2 * symbols.MAX_SECTIONS)]
    found = symbols.sections("a.css", "\n".join(rules).encode())
    assert [d.name for d in found] == [f".r{n}" for n in range(1, 2 * symbols.MAX_SECTIONS, 2)]


VUE = """
<template>
  <p>{{ function no() {} }}</p>
</template>
<script lang="ts">
export const load = (a: string): number => {
  return 1;
};
</script>
<style>.a { color: red }</style>
<script setup lang="ts">
function second() {}
</script>
"""


@pytest.mark.parametrize("path", ["a.vue", "src/B.SVELTE"])
def test_scripts_of_components_are_read_with_their_lines(path: str) -> None:
    source = VUE.lstrip("\n").encode()
    syntax = symbols.parse(path, source)
    assert syntax is not None
    assert syntax.language == "typescript"
    assert len(syntax.source) == len(source)
    assert not syntax.root.has_error
    assert listed(symbols.definitions(syntax, path)) == ["function load 5-7", "function second 11-11"]
    plain = symbols.parse(path, b"<p></p>\n<SCRIPT>\nfunction f() {}\n</SCRIPT >\n<script>unclosed")
    assert plain is not None
    assert plain.language == "javascript"
    assert listed(symbols.definitions(plain, path)) == ["function f 3-3"]


def test_a_missing_grammar_degrades_to_text(monkeypatch: pytest.MonkeyPatch) -> None:
    row = languages.Language("klingon", (".kli",), "tree_sitter_klingon")
    monkeypatch.setitem(languages._BY_NAME, "klingon", row)
    monkeypatch.setitem(languages._CODE, ".kli", "klingon")
    monkeypatch.setitem(languages._MARKUP, ".kli", "klingon")
    assert languages.language_of("a.kli") == "klingon"
    assert symbols.parse("a.kli", b"Qapla'") is None
    assert symbols.sections("a.kli", b"Qapla'") == ()


def test_macros_that_hide_definitions_are_set_aside_only_where_that_helps() -> None:
    source = b"class A {\n  Q_OBJECT\n public:\n  void f() { g(); }\n};\n"
    syntax = symbols.parse("a.hpp", source)
    assert syntax is not None
    assert not syntax.root.has_error
    assert listed(symbols.definitions(syntax, "a.hpp")) == ["class A 1-5", "method A.f 4-4"]
    whole = symbols.parse("a.c", b"int a[] = {\n  FIRST_VALUE\n};\n")
    assert whole is not None
    assert b"FIRST_VALUE" in whole.source


def test_python_definitions_agree_with_the_parser_of_python() -> None:
    """Names, first lines (with decorators) and last lines, over modules of the standard library."""
    compared = 0
    for module in sorted(Path(ast.__file__).parent.glob("*.py"))[::4]:
        source = module.read_bytes()
        if len(source) > parsing.MAX_BYTES:
            continue
        syntax = symbols.parse(module.name, source)
        assert syntax is not None
        found = {
            (d.qualified, d.start, d.end)
            for d in symbols.definitions(syntax, module.name)
            if "= lambda" not in d.signature
        }
        wanted = set(_defined(ast.parse(source)))
        assert found == wanted, module.name
        compared += len(wanted)
    assert compared > 500


def _defined(node: ast.AST, scope: str = "") -> list[tuple[str, int, int]]:
    found = []
    for child in ast.iter_child_nodes(node):
        inner = scope
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            start = min([child.lineno, *(d.lineno for d in child.decorator_list)])
            found.append((scope + child.name, start, child.end_lineno or 0))
            inner = f"{scope}{child.name}."
        found += _defined(child, inner)
    return found


_SOURCES = [(path, dedent(source).lstrip("\n").encode()) for path, source, _ in CASES.values()]
_SOURCES += [(path, dedent(source).lstrip("\n").encode()) for path, (source, _) in SECTIONS.items()]
_SOURCES += [("a.vue", VUE.encode())]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(_SOURCES), st.integers(0, 900), st.integers(0, 60), st.binary(max_size=12))
def test_mutilated_files_give_spans_inside_the_file_that_nest(
    file: tuple[str, bytes], at: int, removed: int, put: bytes
) -> None:
    path, source = file
    source = source[:at] + put + source[at + removed :]
    syntax = symbols.parse(path, source)
    found = list(symbols.definitions(syntax, path)) if syntax is not None else list(symbols.sections(path, source))
    lines = source.count(b"\n") + 1
    around: list[Definition] = []
    for item in found:
        assert 1 <= item.start <= item.end <= lines
        assert item.name
        while around and around[-1].end < item.start:
            around.pop()
        # Two definitions may share a line (`} function g() {`), never more.
        assert (
            not around or item.end <= around[-1].end or item.start >= around[-1].end or item.start == around[-1].start
        )
        around.append(item)
        if syntax is not None:
            uses.parameters(item, syntax)
    if syntax is not None:
        uses.calls(syntax, 1, lines)
        uses.imports(syntax)


@pytest.mark.parametrize("piece", [b"a", b"\n", b"(", b" ", b"<script>", b"AAAA() ", b"A_B_C("])
def test_hostile_repetition_is_read_in_linear_time(piece: bytes) -> None:
    source = piece * (100_000 // len(piece))
    for path in ("a.vue", "a.hpp", "a.lua", "a.md"):
        symbols.parse(path, source)
        symbols.sections(path, source)
