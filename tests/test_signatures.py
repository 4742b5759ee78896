"""Signatures that a change altered, in several languages; the expected differences are read off the two versions."""

from __future__ import annotations

from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_mcp.context.code import signatures, symbols
from orchestra_mcp.context.code.signatures import SignatureChange


def changed(path: str, before: str, after: str) -> tuple[SignatureChange, ...]:
    trees = [symbols.parse(path, dedent(text).lstrip("\n").encode()) for text in (before, after)]
    assert trees[0] is not None
    assert trees[1] is not None
    return signatures.changed_signatures(trees[0], trees[1], path)


BEFORE = """
class Ledger:
    def reserve(self, amount, note=""):
        return self.store.take(amount, note)

    def release(self, id):
        return self.store.drop(id)

    def total(self):
        return 1

def load(path, mode, strict=False):
    return open(path, mode)

def close(handle):
    handle.flush()
    handle.close()
    return True

def untouched(a, b):
    return a
"""

AFTER = """
class Ledger:
    def reserve(self, amount, note):
        return self.store.take(amount, note)

    async def release(self, id, *, force):
        return self.store.drop(id)

def load(mode, path, strict=False):
    return open(path, mode)

def close_all(handle):
    handle.flush()
    handle.close()
    return True

def untouched(a, b):
    return a + b

def fresh(x):
    return x
"""


def test_required_added_removed_reordered_and_renamed_are_told_apart() -> None:
    found = {change.qualified: change for change in changed("m.py", BEFORE, AFTER)}
    assert list(found) == ["Ledger.reserve", "Ledger.release", "Ledger.total", "load", "close"]
    assert found["Ledger.reserve"].what == ("`note` is required now",)
    assert found["Ledger.reserve"].before == ("self", "amount", "note=")
    assert found["Ledger.reserve"].after == ("self", "amount", "note")
    assert found["Ledger.release"].what == ("`force` was added and is required", "it is async now")
    assert found["Ledger.total"].kind == "removed"
    assert found["Ledger.total"].line == 0
    assert found["load"].what == ("the order of the parameters changed",)
    assert found["close"].kind == "renamed"
    assert found["close"].what == ("it is called `close_all` now",)
    assert found["close"].line == 11
    assert found["close"].name == "close"
    assert all(change.breaking for change in found.values())


def test_a_body_a_comment_or_layout_is_no_signature() -> None:
    before = "def f(a, b=1):\n    return a\n"
    after = "def f(\n    a,  # first\n    b=1,\n):\n    # other\n    return b\n"
    assert changed("m.py", before, after) == ()
    assert changed("m.py", before, "def f(a, b=1):\n    return 2\n") == ()


@pytest.mark.parametrize(
    ("path", "before", "after", "name", "what", "breaking"),
    [
        ("a.py", "def f(a): 1", "def f(a, b=1): 1", "f", ("`b` was added and may be left out",), False),
        ("a.py", "def f(a, c): 1", "def f(a, b=1, c=2): 1", "f",
         ("`b` was added before others", "`c` may be left out now"), True),
        ("a.py", "def f(a, b): 1", "def f(a, c): 1", "f", ("`b` is called `c` now",), True),
        ("a.py", "def f(a, *rest): 1", "def f(a): 1", "f", ("`*rest` was removed",), True),
        ("a.go", "package a\nfunc (c *C) F(a int) {}\n", "package a\nfunc (c *C) F(b int) {}\n", "C.F",
         ("`a` is called `b` now",), False),
        ("a.go", "package a\nfunc F(a int) {}\n", "package a\nfunc F(a int, b string) {}\n", "F",
         ("`b` was added and is required",), True),
        ("a.go", "package a\nfunc F(a int) {}\n", "package a\nfunc F(a int) error { return nil }\n", "F",
         ("types or modifiers in its signature changed",), False),
        ("a.ts", "export function f(a: string, b?: number) {}", "export function f(a: string) {}", "f",
         ("`b` was removed",), True),
        ("A.java", "class A { int f(int a) { return 1; } }", "class A { int f(int a, int b) { return 1; } }", "A.f",
         ("`b` was added and is required",), True),
        ("a.rs", "impl A { fn f(&self, a: u8) {} }", "impl A { fn f(&self) {} }", "A.f", ("`a` was removed",), True),
        ("a.kt", "fun f(a: Int) {\n}\n", "fun f(a: Int, b: Int = 1) {\n}\n", "f",
         ("`b` was added and may be left out",), False),
        ("a.ex", "defmodule M do\n  def f(a), do: a\nend\n", "defmodule M do\n  def f(a, b), do: a\nend\n", "M.f",
         ("`b` was added and is required",), True),
        ("a.dart", "int f(int a) { return a; }", "int f(int a, {required int b, int c = 1}) { return a; }", "f",
         ("`b` was added and is required", "`c` was added and may be left out"), True),
    ],
)  # fmt: skip
def test_languages_tell_what_changed(
    path: str, before: str, after: str, name: str, what: tuple[str, ...], breaking: bool
) -> None:
    (change,) = changed(path, before, after)
    assert (change.qualified, change.what, change.breaking) == (name, what, breaking)


def test_of_several_overloads_only_the_one_that_changed_is_told() -> None:
    before = "class A { void f(int a) {} void f(String s) {} }"
    after = "class A { void f(int a) {} void f(String s, int n) {} }"
    (change,) = changed("A.java", before, after)
    assert (change.before, change.after) == (("s",), ("s", "n"))
    (gone,) = changed("A.java", before, "class A { void f(int a) {} }")
    assert (gone.kind, gone.what) == ("removed", ("one of its forms is gone",))


_NAMES = st.lists(st.sampled_from(["a", "b=", "c", "*d", "e="]), unique=True, max_size=5)


@given(_NAMES, st.booleans())
def test_equal_parameters_never_differ(names: list[str], by_name: bool) -> None:
    assert signatures.differences(names, names, by_name) == ([], False)


@given(_NAMES, _NAMES, st.booleans())
def test_parameters_that_differ_are_always_told(old: list[str], new: list[str], by_name: bool) -> None:
    what, breaking = signatures.differences(old, new, by_name)
    assert bool(what) == (old != new)
    assert not breaking or what
