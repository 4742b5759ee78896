"""What a stack trace says: exceptions, causes and frames, outermost first.

Python's traces are made by running programs. The others are written after the formats that the runtimes document
(Node's `Error.stack`, `Throwable.printStackTrace`, Go's and Rust's panic output, …); frames are read off by hand.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_mcp.context.output.installed import MAX_MANIFESTS, declared_names
from orchestra_mcp.context.output.sourcemaps import SourceMap, decode, read_map, unbuilt
from orchestra_mcp.context.output.traces import MAX_TRACES, parse, resolve
from orchestra_mcp.context.output.tracetext import MAX_FRAMES
from orchestra_mcp.types import Frame, Trace


def output_of(folder: Path, source: str, *, name: str = "program.py") -> str:
    """Standard error of a Python program that was really run."""
    program = folder / name
    program.write_text(dedent(source).lstrip("\n"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-X", "utf8", str(program)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    return done.stderr.decode("utf-8").replace("\r\n", "\n")


def places(trace: Trace) -> list[tuple[str, int, str]]:
    """File name, line and function of each frame, outermost first."""
    return [(f.raw_path.replace("\\", "/").rpartition("/")[2], f.line, f.function) for f in trace.frames]


def only(text: str) -> Trace:
    traces = parse(dedent(text).lstrip("\n"))
    assert len(traces) == 1, traces
    return traces[0]


# -------------------------------------------------------------------------------------------------- Python, run


def test_a_python_trace_runs_from_the_module_to_the_raising_function(tmp_path: Path) -> None:
    text = output_of(
        tmp_path,
        """
        def outer(value):
            def inner():
                return {}[value]
            return inner()

        outer("missing")
        """,
    )
    trace = only(text)
    assert (trace.language, trace.exception, trace.message) == ("python", "KeyError", "'missing'")
    assert places(trace) == [
        ("program.py", 6, "<module>"),
        ("program.py", 4, "outer"),
        ("program.py", 3, "inner"),
    ]
    assert [frame.code for frame in trace.frames] == ['outer("missing")', "return inner()", "return {}[value]"]
    assert trace.frames[0].raw_path == str(tmp_path / "program.py")
    assert trace.cause is None


@pytest.mark.parametrize("tail", ["from error", ""])
def test_a_chained_python_exception_has_the_earlier_one_as_its_cause(tmp_path: Path, tail: str) -> None:
    text = output_of(
        tmp_path,
        f"""
        def load():
            try:
                int("x1")
            except ValueError as error:
                raise RuntimeError("cannot load") {tail}

        load()
        """,
    )
    trace = only(text)
    assert (trace.exception, trace.message) == ("RuntimeError", "cannot load")
    assert places(trace) == [("program.py", 7, "<module>"), ("program.py", 5, "load")]
    assert trace.cause is not None
    assert trace.cause.exception == "ValueError"
    assert trace.cause.message == "invalid literal for int() with base 10: 'x1'"
    assert places(trace.cause) == [("program.py", 3, "load")]
    assert trace.cause.cause is None


def test_a_deep_recursion_keeps_the_frames_that_python_printed(tmp_path: Path) -> None:
    text = output_of(
        tmp_path,
        """
        def down(n):
            return down(n + 1)

        down(0)
        """,
    )
    assert "Previous line repeated" in text
    trace = only(text)
    assert trace.exception == "RecursionError"
    assert trace.message.startswith("maximum recursion depth exceeded")
    assert places(trace)[0] == ("program.py", 4, "<module>")
    assert set(places(trace)[1:]) == {("program.py", 2, "down")}


def test_a_syntax_error_points_at_the_broken_line(tmp_path: Path) -> None:
    trace = only(output_of(tmp_path, "x = 1\nif x\n    pass\n"))
    assert trace.exception == "SyntaxError"
    assert "expected ':'" in trace.message
    assert places(trace) == [("program.py", 2, "")]
    assert trace.frames[0].code == "if x"


def test_each_part_of_an_exception_group_is_a_trace_of_its_own(tmp_path: Path) -> None:
    text = output_of(
        tmp_path,
        """
        def fail(kind):
            raise kind("part")

        def gather():
            found = []
            for kind in (ValueError, OSError):
                try:
                    fail(kind)
                except Exception as error:
                    found.append(error)
            found.append(TypeError("never raised"))
            raise ExceptionGroup("several", found)

        gather()
        """,
    )
    group, first, second, third = parse(text)
    assert (group.exception, group.message) == ("ExceptionGroup", "several (3 sub-exceptions)")
    assert places(group) == [("program.py", 14, "<module>"), ("program.py", 12, "gather")]
    assert (first.exception, first.message) == ("ValueError", "part")
    assert places(first) == places(second) == [("program.py", 8, "gather"), ("program.py", 2, "fail")]
    assert second.exception == "OSError"
    assert (third.exception, third.message, third.frames) == ("TypeError", "never raised", ())


def test_a_group_inside_a_group_and_a_cause_inside_a_part_are_found(tmp_path: Path) -> None:
    text = output_of(
        tmp_path,
        """
        def part():
            try:
                1 / 0
            except ZeroDivisionError as error:
                try:
                    raise ValueError("wrapped") from error
                except ValueError as wrapped:
                    return wrapped

        raise ExceptionGroup("outer", [ExceptionGroup("inner", [part()]), KeyError("k")])
        """,
    )
    outer, inner, wrapped, key = parse(text)
    assert [t.exception for t in (outer, inner, wrapped, key)] == [
        "ExceptionGroup", "ExceptionGroup", "ValueError", "KeyError",
    ]  # fmt: skip
    assert inner.message == "inner (1 sub-exception)"
    assert wrapped.cause is not None
    assert wrapped.cause.exception == "ZeroDivisionError"
    assert places(wrapped.cause) == [("program.py", 3, "part")]


def test_a_message_of_several_lines_and_notes_belongs_to_the_trace(tmp_path: Path) -> None:
    text = output_of(
        tmp_path,
        """
        error = ValueError("first\\nsecond")
        error.add_note("a note")
        raise error
        """,
    )
    assert only(text).message == "first\nsecond\na note"


def test_two_traces_in_one_text_are_two(tmp_path: Path) -> None:
    text = output_of(
        tmp_path,
        """
        import traceback
        for value in ("a", "b"):
            try:
                int(value)
            except ValueError:
                traceback.print_exc()
                print(file=__import__("sys").stderr)
        """,
    )
    assert [trace.message[-3:] for trace in parse(text)] == ["'a'", "'b'"]


def test_a_trace_without_its_header_is_still_read(tmp_path: Path) -> None:
    text = output_of(tmp_path, "def f():\n    raise LookupError('x')\nf()\n")
    trace = only("\n".join(text.splitlines()[1:]))
    assert trace.exception == "LookupError"
    assert places(trace) == [("program.py", 3, "<module>"), ("program.py", 2, "f")]


@pytest.mark.parametrize(
    "dress",
    [
        pytest.param(lambda line: "2026-03-01T10:11:12.123456Z " + line, id="timestamps"),
        pytest.param(lambda line: "web-1  | " + line, id="docker compose"),
        pytest.param(lambda line: "\x1b[31m" + line + "\x1b[0m", id="colours"),
        pytest.param(lambda line: line + "\r", id="CRLF"),
        pytest.param(lambda line: "        " + line, id="indented"),
        pytest.param(lambda line: "> " + line, id="quoted"),
        pytest.param(lambda line: line.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;"), id="HTML"),
        pytest.param(lambda line: "Mar  1 10:11:12 host app[123]: " + line, id="syslog"),
        pytest.param(lambda line: "INTERNALERROR> " + line, id="pytest itself"),
        pytest.param(lambda line: json.dumps({"log": line + "\n", "stream": "stderr", "time": "2026-03-01"}, separators=(",", ":")).replace("<", "\\u003c"), id="Docker"),
        pytest.param(lambda line: line.replace('"', '""'), id="CSV"),
        pytest.param(lambda line: line.replace("<", "&lt;").replace('"', "&quot;") + "<br>", id="breaks"),
        pytest.param(lambda line: "[worker 3] " + line, id="a lead of its own"),
        pytest.param(lambda line: "2026-03-01T10:11:12.123456789Z stderr F " + line, id="Kubernetes"),
        pytest.param(lambda line: "[pod/web-7d4b/app] " + line, id="kubectl --prefix"),
        pytest.param(lambda line: "test\tRun tests\t2026-03-01T10:11:12.1234567Z " + line, id="gh run view"),
        pytest.param(lambda line: "2026-03-01T10:11:12.123456+00:00 app[web.1]: " + line, id="Heroku"),
        pytest.param(lambda line: "[ERROR] " + line, id="level"),
        pytest.param(lambda line: "10:11:12,123 " + line, id="time"),
        pytest.param(lambda line: "<p>" + line.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;") + "</p>", id="page"),
    ],
)  # fmt: skip
def test_what_terminals_and_logs_put_around_a_trace_does_not_matter(tmp_path: Path, dress: object) -> None:
    text = output_of(tmp_path, "def f():\n    int('q')\ntry:\n    f()\nexcept ValueError:\n    raise OSError('no')\n")
    assert callable(dress)
    dressed = "\n".join(dress(line) for line in text.splitlines())
    assert parse(dressed) == parse(text)
    assert parse(dressed)[0].exception == "OSError"


def test_a_log_record_after_a_trace_is_not_part_of_its_message() -> None:
    trace = only(
        """
        2026-03-01 10:00:00,001 ERROR app failed
        Traceback (most recent call last):
          File "/srv/app/run.py", line 3, in go
            step()
        ValueError: bad
        2026-03-01 10:00:00,002 INFO app went on
        """
    )
    assert trace.message == "bad"


def test_a_trace_inside_a_json_string_is_read() -> None:
    trace = only(
        r'{"error": "Traceback (most recent call last):\n  File \"/srv/a.py\", line 3, in go\n    step()\nValueError: bad\n"}'
    )
    assert places(trace) == [("a.py", 3, "go")]
    assert trace.exception == "ValueError"


# ------------------------------------------------------------------------------------------------------- pytest


@pytest.fixture(scope="module")
def pytest_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite")
    (folder / "lib.py").write_text(
        "def look(key):\n    try:\n        return {}[key]\n    except KeyError as e:\n        raise ValueError('bad') from e\n"
    )
    (folder / "test_it.py").write_text(
        "import lib\n\nclass TestLook:\n    def test_look(self):\n        lib.look(1)\n\n"
        "def test_equal():\n    assert [1] == [2]\n"
    )
    return folder


def run_pytest(folder: Path, style: str) -> str:
    arguments = ["-p", "no:cacheprovider", "-p", "no:randomly", "-q", "--color=yes", f"--tb={style}", "test_it.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, timeout=100, check=False,
    )  # fmt: skip
    return done.stdout.decode("utf-8")


@pytest.mark.parametrize("style", ["long", "short"])
def test_a_pytest_report_gives_each_failure_with_its_cause(pytest_project: Path, style: str) -> None:
    look, equal = parse(run_pytest(pytest_project, style))
    assert (look.exception, look.message) == ("ValueError", "bad")
    assert places(look) == [("test_it.py", 5, "test_look"), ("lib.py", 5, "look")]
    assert [frame.code for frame in look.frames] == ["lib.look(1)", "raise ValueError('bad') from e"]
    assert look.cause is not None
    assert (look.cause.exception, look.cause.message) == ("KeyError", "1")
    assert places(look.cause) == [("lib.py", 3, "look")]
    assert equal.exception == "AssertionError"
    assert equal.message.startswith("assert [1] == [2]")
    assert places(equal) == [("test_it.py", 8, "test_equal")]


def test_pytest_with_native_traces_gives_the_same_innermost_frames(pytest_project: Path) -> None:
    found = {trace.exception: places(trace)[-1] for trace in parse(run_pytest(pytest_project, "native"))}
    assert found["ValueError"] == ("lib.py", 5, "look")
    assert found["AssertionError"] == ("test_it.py", 8, "test_equal")


def test_a_pytest_summary_alone_names_the_failed_tests(pytest_project: Path) -> None:
    look, equal = parse(run_pytest(pytest_project, "no"))
    assert (look.exception, look.message, places(look)) == ("ValueError", "bad", [("test_it.py", 0, "test_look")])
    assert (equal.exception, places(equal)) == ("AssertionError", [("test_it.py", 0, "test_equal")])


def test_a_unittest_failure_is_a_python_trace(tmp_path: Path) -> None:
    text = output_of(
        tmp_path,
        """
        import unittest

        class Sums(unittest.TestCase):
            def test_sum(self):
                self.assertEqual(1 + 1, 3)

        unittest.main()
        """,
    )
    trace = only(text)
    assert (trace.exception, trace.message) == ("AssertionError", "2 != 3")
    assert places(trace) == [("program.py", 5, "test_sum")]


# ------------------------------------------------------------------------------------------- JavaScript, TypeScript


def test_a_node_error_with_a_cause_is_read_with_the_line_that_node_prints() -> None:
    trace = only(
        """
        /srv/app/src/pay.js:12
            throw new Error('payment failed', { cause })
            ^

        Error: payment failed
            at Till.pay (/srv/app/src/pay.js:12:11)
            at async main (file:///srv/app/src/main.mjs:4:3) {
          [cause]: TypeError: amount is not a number
              at check (/srv/app/src/my files/check.js:7:9)
              at new Till (/srv/app/src/pay.js:3:5)
              at Object.run [as start] (node:internal/process/task_queues:95:5)
        }

        Node.js v20.20.2
        """
    )
    assert (trace.language, trace.exception, trace.message) == ("javascript", "Error", "payment failed")
    assert places(trace) == [("main.mjs", 4, "main"), ("pay.js", 12, "Till.pay")]
    assert trace.frames[1].code == "throw new Error('payment failed', { cause })"
    assert trace.cause is not None
    assert (trace.cause.exception, trace.cause.message) == ("TypeError", "amount is not a number")
    assert places(trace.cause) == [
        ("task_queues", 95, "Object.run"),
        ("pay.js", 3, "Till"),
        ("check.js", 7, "check"),
    ]


def test_a_node_syntax_error_has_the_broken_line_as_its_innermost_frame() -> None:
    trace = only(
        """
        C:\\code\\app\\index.js:3
        let a = ;
                ^

        SyntaxError: Unexpected token ';'
            at wrapSafe (node:internal/modules/cjs/loader:1464:18)
        """
    )
    assert trace.exception == "SyntaxError"
    assert places(trace) == [("loader", 1464, "wrapSafe"), ("index.js", 3, "")]
    assert trace.frames[-1].raw_path == "C:\\code\\app\\index.js"
    assert trace.frames[-1].code == "let a = ;"


def test_firefox_and_safari_frames_are_read() -> None:
    trace = only(
        """
        pay@http://localhost:8080/static/@app/pay.js:12:9
        start/<@http://localhost:8080/static/@app/main.js:4:3
        @http://localhost:8080/static/@app/main.js:9:1
        """
    )
    assert places(trace) == [("main.js", 9, ""), ("main.js", 4, "start/<"), ("pay.js", 12, "pay")]


def test_a_frame_inside_eval_is_placed_in_the_file_that_called_eval() -> None:
    trace = only(
        """
        ReferenceError: x is not defined
            at eval (eval at run (http://localhost/app/run.js:25:17), <anonymous>:1:1)
            at run (http://localhost/app/run.js:25:17)
        """
    )
    assert places(trace) == [("run.js", 25, "run"), ("run.js", 25, "eval")]


JEST = """
 FAIL  src/sum.test.ts
  ● math › adds

    expect(received).toBe(expected) // Object.is equality

    Expected: 4
    Received: 3

      10 |
      11 |   it('adds', () => {
    > 12 |     expect(sum(1, 2)).toBe(4);
         |                       ^
      13 |   });

      at Object.<anonymous> (src/sum.test.ts:12:23)

  ● math › throws

    TypeError: boom

      3 | export function sum(a, b) {
    > 4 |   throw new TypeError('boom');
        |         ^

      at sum (src/sum.ts:4:9)
      at Object.<anonymous> (src/sum.test.ts:16:5)
"""


def test_jest_failures_carry_their_name_their_difference_and_the_marked_line() -> None:
    adds, throws = parse(JEST)
    assert adds.language == "typescript"
    assert adds.message.splitlines() == [
        "math › adds", "expect(received).toBe(expected) // Object.is equality", "Expected: 4", "Received: 3",
    ]  # fmt: skip
    assert places(adds) == [("sum.test.ts", 12, "Object.<anonymous>")]
    assert adds.frames[0].code == "expect(sum(1, 2)).toBe(4);"
    assert (throws.exception, throws.message) == ("TypeError", "boom")
    assert places(throws) == [("sum.test.ts", 16, "Object.<anonymous>"), ("sum.ts", 4, "sum")]
    assert throws.frames[1].code == "throw new TypeError('boom');"


def test_vitest_failures_are_read() -> None:
    trace = only(
        """
         FAIL  test/a.test.ts > suite > name
        AssertionError: expected 1 to be 2 // Object.is equality

        - Expected
        + Received

         ❯ check src/lib/check.ts:6:17
              4|
              5| export function check(x: number) {
              6|   expect(1).toBe(2)
               |                 ^
              7| }
         ❯ test/a.test.ts:9:3
        """
    )
    assert trace.exception == "AssertionError"
    assert places(trace) == [("a.test.ts", 9, ""), ("check.ts", 6, "check")]
    assert trace.frames[1].code == "expect(1).toBe(2)"


# ------------------------------------------------------------------------------------------------- Java, Kotlin

JAVA = """
Exception in thread "main" java.lang.IllegalStateException: cannot start
\tat com.example.shop.Server.start(Server.java:42)
\tat com.example.shop.Server$Inner.lambda$run$0(Server.java:61) ~[shop.jar:1.2]
\tat java.base/java.util.concurrent.FutureTask.run(FutureTask.java:264)
\tat java.base/jdk.internal.reflect.NativeMethodAccessorImpl.invoke0(Native Method)
Caused by: com.example.shop.db.DbException: no table
\tat com.example.shop.db.Pool.open(Pool.java:17)
\t... 3 more
Caused by: java.io.IOException
\tat com.example.shop.db.Disk.read(Disk.java:8)
\t... 4 more
"""


def test_a_java_trace_has_its_causes_down_to_the_root() -> None:
    trace = only(JAVA)
    assert (trace.language, trace.exception, trace.message) == (
        "java", "java.lang.IllegalStateException", "cannot start",
    )  # fmt: skip
    assert places(trace) == [
        ("", 0, "jdk.internal.reflect.NativeMethodAccessorImpl.invoke0"),
        ("FutureTask.java", 264, "java.util.concurrent.FutureTask.run"),
        ("Server.java", 61, "com.example.shop.Server$Inner.lambda$run$0"),
        ("Server.java", 42, "com.example.shop.Server.start"),
    ]
    middle = trace.cause
    assert middle is not None
    assert (middle.exception, middle.message) == ("com.example.shop.db.DbException", "no table")
    root = middle.cause
    assert root is not None
    assert (root.exception, root.message) == ("java.io.IOException", "")
    assert places(root) == [("Disk.java", 8, "com.example.shop.db.Disk.read")]


def test_a_kotlin_trace_out_of_logcat_is_read() -> None:
    trace = only(
        """
        03-01 10:11:12.123  1234  1234 E AndroidRuntime: FATAL EXCEPTION: main
        03-01 10:11:12.123  1234  1234 E AndroidRuntime: java.lang.NullPointerException: oh
        03-01 10:11:12.123  1234  1234 E AndroidRuntime: \tat com.example.app.MainKt.greet(Main.kt:9)
        03-01 10:11:12.123  1234  1234 E AndroidRuntime: \tat com.example.app.MainKt.main(Main.kt:4)
        """
    )
    assert (trace.language, trace.exception, trace.message) == ("kotlin", "java.lang.NullPointerException", "oh")
    assert places(trace) == [
        ("Main.kt", 4, "com.example.app.MainKt.main"),
        ("Main.kt", 9, "com.example.app.MainKt.greet"),
    ]


# ----------------------------------------------------------------------------------------------------- Go, Rust


def test_a_go_panic_is_a_trace_and_the_other_goroutines_are_traces_without_a_name() -> None:
    trace, other = parse(
        dedent(
            """
        panic: runtime error: index out of range [5] with length 3

        goroutine 1 [running]:
        example.com/shop/cart.(*Cart).Price(0xc000012ac0, 0x5)
        \t/home/me/shop/cart/cart.go:24 +0x95
        main.main()
        \t/home/me/shop/main.go:8 +0x1d
        created by testing.(*T).Run in goroutine 7
        \t/usr/local/go/src/testing/testing.go:1742 +0x390

        goroutine 17 [syscall, locked to thread]:
        runtime.goexit()
        \t/usr/local/go/src/runtime/asm_amd64.s:1721 +0x1
        exit status 2
        """
        )
    )
    assert (other.exception, places(other)) == ("", [("asm_amd64.s", 1721, "runtime.goexit")])
    assert (trace.language, trace.exception) == ("go", "panic")
    assert trace.message == "runtime error: index out of range [5] with length 3"
    assert places(trace) == [
        ("testing.go", 1742, "testing.(*T).Run"),
        ("main.go", 8, "main.main"),
        ("cart.go", 24, "example.com/shop/cart.(*Cart).Price"),
    ]


def test_a_failed_go_test_is_found_and_a_log_of_a_passed_one_is_not() -> None:
    trace = only(
        """
        === RUN   TestFine
            sum_test.go:5: only a log
        --- PASS: TestFine (0.00s)
        === RUN   TestSum
            sum_test.go:12: got 3, want 4
        --- FAIL: TestSum (0.00s)
        FAIL
        FAIL\texample.com/sum\t0.003s
        """
    )
    assert (trace.exception, trace.message) == ("FAIL", "TestSum\ngot 3, want 4")
    assert places(trace) == [("sum_test.go", 12, "TestSum")]


def test_a_rust_panic_with_a_backtrace_is_read() -> None:
    trace = only(
        """
        thread 'main' (15643) panicked at src/cart.rs:7:41:
        index out of bounds: the len is 2 but the index is 7
        stack backtrace:
           0: rust_begin_unwind
                     at /rustc/59807616e1fa2540/library/std/src/panicking.rs:689:5
           1: core::panicking::panic_fmt
           2: shop::cart::price::h0ca2c54532ffc785
                     at ./src/cart.rs:7:41
           3: shop::main
                     at ./src/main.rs:2:28
        note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
        """
    )
    assert (trace.language, trace.exception) == ("rust", "panic")
    assert trace.message == "index out of bounds: the len is 2 but the index is 7"
    assert places(trace) == [
        ("main.rs", 2, "shop::main"),
        ("cart.rs", 7, "shop::cart::price"),
        ("", 0, "core::panicking::panic_fmt"),
        ("panicking.rs", 689, "rust_begin_unwind"),
    ]


def test_a_rust_panic_without_a_backtrace_has_its_place_as_the_only_frame() -> None:
    new = only(
        """
        thread 'worker-3' panicked at C:\\shop\\src\\cart.rs:7:41:
        called `Option::unwrap()` on a `None` value
        note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
        """
    )
    old = only("thread 'main' panicked at 'called `Option::unwrap()` on a `None` value', src/cart.rs:7:41\n")
    assert new.message == old.message == "called `Option::unwrap()` on a `None` value"
    assert places(new) == places(old) == [("cart.rs", 7, "")]


# ------------------------------------------------------------------------------------------------------- others


def test_dotnet_inner_exceptions_become_causes() -> None:
    trace = only(
        """
        Unhandled exception. Shop.OrderException: order failed
         ---> System.FormatException: bad price
           at Shop.Price.Parse(String text) in C:\\src\\Shop\\Price.cs:line 12
           at Shop.Cart.<AddAsync>d__7.MoveNext() in /src/Shop/Cart.cs:line 30
           --- End of inner exception stack trace ---
           at Shop.Order.Place(Cart cart, Int32 n) in /src/Shop/Order.cs:line 55
        --- End of stack trace from previous location ---
           at Shop.Program.Main()
        """
    )
    assert (trace.language, trace.exception, trace.message) == ("c_sharp", "Shop.OrderException", "order failed")
    assert places(trace) == [("", 0, "Shop.Program.Main"), ("Order.cs", 55, "Shop.Order.Place")]
    assert trace.cause is not None
    assert (trace.cause.exception, trace.cause.message) == ("System.FormatException", "bad price")
    assert places(trace.cause) == [("Cart.cs", 30, "Shop.Cart.AddAsync"), ("Price.cs", 12, "Shop.Price.Parse")]


def test_a_ruby_trace_is_read() -> None:
    trace = only(
        """
        /srv/shop/lib/cart.rb:8:in `price': undefined method `*' for nil:NilClass (NoMethodError)
        \tfrom /srv/shop/lib/cart.rb:4:in `block in total'
        \tfrom bin/shop:3:in `<main>'
        """
    )
    assert (trace.language, trace.exception) == ("ruby", "NoMethodError")
    assert trace.message == "undefined method `*' for nil:NilClass"
    assert places(trace) == [("shop", 3, "<main>"), ("cart.rb", 4, "total"), ("cart.rb", 8, "price")]


def test_a_php_trace_names_the_function_around_each_line() -> None:
    trace = only(
        """
        PHP Fatal error:  Uncaught InvalidArgumentException: bad price in /srv/shop/src/Cart.php:12
        Stack trace:
        #0 /srv/shop/src/Cart.php(30): Shop\\Cart->price(NULL)
        #1 /srv/shop/index.php(5): Shop\\Cart->total()
        #2 {main}
          thrown in /srv/shop/src/Cart.php on line 12
        """
    )
    assert (trace.language, trace.exception, trace.message) == ("php", "InvalidArgumentException", "bad price")
    assert places(trace) == [
        ("index.php", 5, "{main}"),
        ("Cart.php", 30, "Shop\\Cart->total"),
        ("Cart.php", 12, "Shop\\Cart->price"),
    ]


def test_the_stacks_of_a_sanitizer_report_are_separate() -> None:
    access, freed = parse(
        dedent(
            """
            ==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010 at pc 0x4f
                #0 0x4f1234 in Cart::price(int) const /src/shop/cart.cc:12:7
                #1 0x4f2234 in main /src/shop/main.cc:5:3
                #2 0x7f0000 in __libc_start_main (/lib/x86_64-linux-gnu/libc.so.6+0x2082f)

            freed by thread T0 here:
                #0 0x4a1111 in operator delete(void*)
                #1 0x4f3333 in Cart::~Cart() /src/shop/cart.cc:30:1
            """
        )
    )
    assert access.exception == "AddressSanitizer: heap-use-after-free"
    assert places(access)[1:] == [("main.cc", 5, "main"), ("cart.cc", 12, "Cart::price")]
    assert freed.exception == ""
    assert places(freed)[0] == ("cart.cc", 30, "Cart::~Cart")


def test_a_gdb_backtrace_is_read() -> None:
    trace = only(
        """
        Program received signal SIGSEGV, Segmentation fault.
        #0  0x000055 in price (cart=0x0, n=<optimized out>) at src/cart.c:12
        #1  0x000056 in main () at src/main.c:5
        """
    )
    assert (trace.exception, trace.message) == ("SIGSEGV", "Segmentation fault.")
    assert places(trace) == [("main.c", 5, "main"), ("cart.c", 12, "price")]


def test_dart_elixir_and_swift_are_read() -> None:
    dart = only(
        """
        Unhandled exception:
        Bad state: empty
        #0      Cart.price (package:shop/src/cart.dart:12:7)
        <asynchronous suspension>
        #1      main (package:shop/main.dart:5:3)
        """
    )
    assert (dart.language, dart.message) == ("dart", "Bad state: empty")
    assert places(dart) == [("main.dart", 5, "main"), ("cart.dart", 12, "Cart.price")]
    elixir = only(
        """
        ** (FunctionClauseError) no function clause matching in Shop.Cart.price/1
            (shop 0.1.0) lib/shop/cart.ex:12: Shop.Cart.price(nil)
            (stdlib 5.2) gen_server.erl:1123: :gen_server.try_handle_call/4
        """
    )
    assert (elixir.language, elixir.exception) == ("elixir", "FunctionClauseError")
    assert places(elixir) == [
        ("gen_server.erl", 1123, ":gen_server.try_handle_call/4"), ("cart.ex", 12, "Shop.Cart.price"),
    ]  # fmt: skip
    swift = only("Shop/Cart.swift:12: Fatal error: Index out of range\n")
    assert (swift.language, swift.exception, swift.message) == ("swift", "Fatal error", "Index out of range")
    assert places(swift) == [("Cart.swift", 12, "")]


@pytest.mark.parametrize(
    ("text", "place", "language", "message"),
    [
        ("src/cart.c:12:5: error: expected ';' before 'return'", ("cart.c", 12), "c", "expected ';' before 'return'"),
        ("src/cart.ts(12,5): error TS2322: not assignable", ("cart.ts", 12), "typescript", "not assignable"),
        ("error[E0308]: mismatched types\n --> src/cart.rs:12:5", ("cart.rs", 12), "rust", "mismatched types"),
        ("./cart.go:12:5: undefined: price", ("cart.go", 12), "go", "undefined: price"),
        ("src/shop/cart.py:12: error: Missing return statement  [return]", ("cart.py", 12), "python",
         "Missing return statement  [return]"),
        ("[ERROR] /w/src/main/java/shop/Cart.java:[12,5] cannot find symbol", ("Cart.java", 12), "java",
         "cannot find symbol"),
    ],
)  # fmt: skip
def test_a_compiler_error_is_a_trace_of_one_frame(
    text: str, place: tuple[str, int], language: str, message: str
) -> None:
    trace = only(text)
    assert (trace.language, trace.message) == (language, message)
    assert places(trace) == [(*place, "")]


def test_prose_and_source_code_are_no_traces() -> None:
    assert parse("") == ()
    assert parse("The server is slow at night: why? See README.md, line 12, and a@b.com at 10:30:15.") == ()
    assert parse(Path(__file__).read_text(encoding="utf-8").partition("def only")[0]) == ()


# --------------------------------------------------------------------------------------------------- robustness


@given(st.text())
def test_no_text_makes_the_parser_raise(text: str) -> None:
    parse(text)


_PIECES = st.sampled_from([
    'Traceback (most recent call last):', '  File "a.py", line 1, in f', "    x", "ValueError: x", "  | ", "+-+---------------- 1 ----------------",
    "The above exception was the direct cause of the following exception:", "E   x", "a.py:1: in f", "_____ t _____", "FAILED a.py::t - x",
    "Error: x", "    at f (/a.js:1:2)", "  [cause]: Error: y", "    at a.B.c(D.java:1)", "Caused by: a.B: c", "panic: x", "goroutine 1 [running]:",
    "main.f(0x1)", "\t/a.go:1 +0x1", "thread 'm' panicked at a.rs:1:1:", "   0: f", "             at a.rs:1:1", "#0 /a.php(1): f()", "#0 {main}",
    "PHP Fatal error:  Uncaught E: m in /a.php:1", "   at A.B(C d) in x.cs:line 1", "--- End of inner exception stack trace ---", "A.BException: m ---> C.DException: n",
    "#0 0x1 in f a.c:1:1", "freed by thread", "a.rb:1:in `f': m (E)", "** (E) m", "    a.ex:1: f/1", "--- FAIL: T (0s)", "    a_test.go:1: m", "> 1 | x", "", "\x1b[31m",
])  # fmt: skip


@settings(max_examples=200)
@given(st.lists(_PIECES, max_size=30), st.sampled_from(["\n", "\r\n", "\n2026-01-01 10:00:00 "]))
def test_any_mixture_of_dialects_is_read_without_raising_and_within_bounds(pieces: list[str], newline: str) -> None:
    traces = parse(newline.join(pieces))
    assert len(traces) <= MAX_TRACES
    for trace in traces:
        resolve(trace, ["a.py", "src/a.js", "a/D.java"])


def test_a_huge_text_is_read_at_its_head_and_its_tail() -> None:
    def block(name: str) -> str:
        return f'Traceback (most recent call last):\n  File "{name}.py", line 1, in f\n    x\nKeyError: 1\n\n'

    text = block("head") + "filler line\n" * 100_000 + block("tail")
    assert [trace.frames[0].raw_path for trace in parse(text)] == ["head.py", "tail.py"]


_HOSTILE = [
    "at ",
    "at a (",
    "#0 0x1 in f ",
    "a:",
    "((",
    "a.b.",
    "f@",
    "eval at (",
    "thread 'x' panicked at '",
    " ",
    "\t",
    "1 ",
    "\x1b[",
    "&lt;",
    "---> ",
]


@pytest.mark.parametrize("unit", _HOSTILE)
def test_the_time_grows_no_faster_than_the_text(unit: str) -> None:
    """Compared with twice as long lines on the same machine, so that a slow machine does not matter."""

    def seconds(length: int) -> float:
        line = (unit * (length // len(unit) + 1))[:length]
        text = "\n".join([line] * (200_000 // (length + 1)))
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            parse(text)
            best = min(best, time.process_time() - start)
        return best

    # The same number of characters; a quadratic pattern would take sixteen times as long on the longer lines.
    assert seconds(1_920) < 8 * seconds(120) + 0.05


_SHAPES = {
    "one character": "a" * 100_000,
    "one character a line": "a\n" * 50_000,
    "blank lines": "\n" * 10_000,
    "blanks": (" " * 1_000 + "\n") * 100,
    "parentheses": "at f" + "(" * 50_000 + ")" * 50_000,
    "nested calls a line": "\n".join("#0 0x1 in " + "f(" * 300 + ")" * 300 for _ in range(100)),
    "brackets": "[" * 100_000,
    "escaped breaks": "\\n\\t" * 25_000,
    "colons": ":1" * 50_000,
    "digits": "1" * 100_000,
    "dots": "a." * 50_000,
    "at signs": "a@" * 50_000,
    "Python frames": "\n".join(f'  File "a{n}.py", line {n}, in f' for n in range(20_000)),
    "Java frames": "a.B: c\n" + "\n".join(f"\tat a.b.C{n}.m(C.java:{n})" for n in range(20_000)),
    "JavaScript frames": "Error: x\n" + "\n".join(f"    at f{n} (/a/b.js:{n}:1)" for n in range(20_000)),
    "sanitizer frames": "\n".join(f"    #{n} 0x1 in f{n} /a.c:{n}:1" for n in range(20_000)),
    "GDB frames": "\n".join(f"#{n}  0x1 in f{n} (a=1,\n    b=2) at a.c:{n}" for n in range(10_000)),
    "heads": "a.B.CException: d\n" * 10_000,
    "causes": "Caused by: a.B: c\n\tat a.b.C.m(C.java:1)\n" * 5_000,
    "goroutines": "goroutine 1 [running]:\nmain.f()\n\t/a.go:1 +0x1\n\n" * 3_000,
    "Erlang in a line": "{a,b,1,[{file," * 8_000,
    "HTML": "&lt;<br>" * 12_000,
    "colours": "\x1b[31m" * 20_000,
    "arrows": "----> 1 x\n" * 10_000,
    "warnings": "a.py:1: UserWarning: b\n" * 5_000,
}


@pytest.mark.parametrize("shape", _SHAPES)
def test_hostile_text_costs_no_more_than_a_few_times_what_ordinary_log_lines_cost(shape: str) -> None:
    """Compared with as many lines of an ordinary log on the same machine, so that a slow machine does not matter."""

    def seconds(text: str) -> float:
        best = float("inf")
        for _ in range(2):
            start = time.process_time()
            traces = parse(text)
            best = min(best, time.process_time() - start)
            assert len(traces) <= MAX_TRACES
            assert all(len(trace.frames) <= MAX_FRAMES for trace in traces)
        return best

    ordinary = "2026-03-01 10:00:00,001 INFO shop.cart: 3 items of customer 17 in 12.5 ms (cache: hit) at /cart?id=3\n"
    text = _SHAPES[shape]
    alike = ordinary * max(len(text) // len(ordinary), text.count("\n"))
    assert seconds(text) < 10 * seconds(alike) + 0.3


# ------------------------------------------------------------------------------------------------------ resolve

FILES = [
    "main.py", "src/shop/cart.py", "src/shop/__init__.py", "src/shop/db/__init__.py", "src/shop/utils.py", "tests/utils.py",
    "web/src/cart.ts", "web/src/pages/index.tsx", "lib/cart.dart", "setup.py", "json/decoder.py",
    "server/src/main/java/com/example/shop/Server.java", "server/src/main/java/com/example/other/Pool.java",
    "app/src/main/kotlin/shop/Main.kt",
]  # fmt: skip


def path_of(raw: str, function: str = "", others: tuple[str, ...] = ()) -> str:
    frames = (Frame(raw_path=raw, function=function), *(Frame(raw_path=other) for other in others))
    return resolve(Trace(language="x", frames=frames), FILES).frames[0].path


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("src/shop/cart.py", "src/shop/cart.py"),
        ("./src/shop/cart.py", "src/shop/cart.py"),
        ("/home/me/code/src/shop/cart.py", "src/shop/cart.py"),
        ("C:\\Users\\me\\code\\src\\shop\\cart.py", "src/shop/cart.py"),
        ("/usr/lib/python3/dist-packages/shop/cart.py", "src/shop/cart.py"),
        ("/venv/lib/python3.12/site-packages/shop/cart.py", "src/shop/cart.py"),
        ("/venv/lib/python3.12/site-packages/other/cart.py", ""),
        ("/venv/lib/python3.12/site-packages/other/db/__init__.py", ""),
        ("/usr/lib/python3.12/json/decoder.py", ""),
        ("/app/elsewhere/cart.py", "src/shop/cart.py"),
        ("/app/elsewhere/utils.py", ""),
        ("/app/shop/utils.py", "src/shop/utils.py"),
        ("webpack://app/./src/cart.ts?3f2a", "web/src/cart.ts"),
        ("webpack-internal:///./src/pages/index.tsx", "web/src/pages/index.tsx"),
        ("http://localhost:5173/src/cart.ts?t=17", "web/src/cart.ts"),
        ("file:///home/me/web/src/cart.ts", "web/src/cart.ts"),
        ("/srv/web/node_modules/lib/src/cart.ts", ""),
        ("package:shop/cart.dart", "lib/cart.dart"),
        ("node:internal/modules/cjs/loader", ""),
        ("<frozen importlib._bootstrap>", ""),
        ("<stdin>", ""),
        ("/rustc/5980/library/std/src/cart.ts", ""),
        ("", ""),
    ],
)
def test_a_printed_path_finds_its_file_in_the_project_and_foreign_code_does_not(raw: str, path: str) -> None:
    assert path_of(raw) == path


@pytest.mark.parametrize(
    ("raw", "function", "path"),
    [
        ("Server.java", "com.example.shop.Server.start", "server/src/main/java/com/example/shop/Server.java"),
        ("Server.java", "com.example.shop.Server$Inner.run", "server/src/main/java/com/example/shop/Server.java"),
        ("Pool.java", "com.example.shop.Pool.open", ""),
        ("Server.java", "java.util.Server.start", ""),
        ("Main.kt", "com.example.shop.MainKt.main", "app/src/main/kotlin/shop/Main.kt"),
    ],
)
def test_a_java_frame_is_found_by_its_package(raw: str, function: str, path: str) -> None:
    assert path_of(raw, function) == path


def test_a_name_that_several_files_bear_is_found_below_the_root_that_another_frame_shows() -> None:
    assert path_of("/builds/7/tests/utils.py") == "tests/utils.py"
    assert path_of("/builds/7/main.py", others=("/builds/7/src/shop/cart.py",)) == "main.py"
    assert path_of("/opt/setup.py") == "setup.py"


def test_the_frames_of_a_cause_are_resolved_too() -> None:
    cause = Trace(language="python", frames=(Frame(raw_path="/x/src/shop/cart.py", line=3),))
    trace = resolve(Trace(language="python", cause=cause), FILES)
    assert trace.cause is not None
    assert trace.cause.frames[0].path == "src/shop/cart.py"
    assert trace.cause.frames[0].line == 3


def test_code_lines_indented_by_a_tab_belong_to_their_frame() -> None:
    text = (
        "Traceback (most recent call last):\n"
        '  File "/app/a.py", line 1, in <module>\n'
        "\tmain()\n"
        '  File "/app/b.py", line 2, in main\n'
        "\traise ValueError(1)\n"
        "ValueError: 1\n"
    )
    (trace,) = parse(text)
    assert (trace.exception, [frame.line for frame in trace.frames]) == ("ValueError", [1, 2])


MORE = [
    "apps/shop/lib/shop/cart.ex", "apps/shop/lib/enum.ex", "src/Shop/Cart.cs", "src/Shop/Other/Names.cs", "Lib/Other/Names.cs",
    "Sources/Shop/Basket.swift", "crates/cart/src/lib.rs", "crates/cart/src/price.rs", "crates/pay/src/price.rs",
    "packages/ui/lib/button.dart", "packages/net/lib/button.dart", "lib/shop/order.rb", "web/app/page.tsx", "cart/total.go",
    "src/test/java/com/example/CartTest.java", "core/src/main/kotlin/com/example/Repo.kt", "src/deep/main.py", "kernel/fs/read.c",
]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "function", "language", "path"),
    [
        pytest.param("lib/shop/cart.ex", "Shop.Cart.total/1", "elixir", "apps/shop/lib/shop/cart.ex", id="umbrella"),
        pytest.param("lib/enum.ex", "Enum.map/2", "elixir", "", id="Elixir's own file"),
        pytest.param("gen_server.erl", ":gen_server.call/3", "elixir", "", id="OTP"),
        pytest.param("/usr/src/app/src/Shop/Cart.cs", "Shop.Cart.Price", "c_sharp", "src/Shop/Cart.cs", id="usual workdir of images"),
        pytest.param("/_/src/Shop/Cart.cs", "Shop.Cart.Price", "c_sharp", "src/Shop/Cart.cs", id="deterministic build"),
        pytest.param("/_/src/libraries/System.Private.CoreLib/Cart.cs", "System.X.Y", "c_sharp", "", id=".NET itself"),
        pytest.param("", "Shop.Cart.Price", "c_sharp", "src/Shop/Cart.cs", id="class only"),
        pytest.param("", "Elsewhere.Cart.Price", "c_sharp", "", id="class of another namespace"),
        pytest.param("", "System.Collections.Cart.Price", "c_sharp", "", id="class of the framework"),
        pytest.param("", "com.example.CartTest.adds", "java", "src/test/java/com/example/CartTest.java", id="test of Surefire"),
        pytest.param("", "CartTest.adds", "java", "src/test/java/com/example/CartTest.java", id="summary of Surefire"),
        pytest.param("", "org.other.CartTest.adds", "java", "", id="test of another package"),
        pytest.param("Repo.kt", "com.example.RepoKt.load", "kotlin", "core/src/main/kotlin/com/example/Repo.kt", id="FileKt"),
        pytest.param("CartTest.java", "", "java", "src/test/java/com/example/CartTest.java", id="Gradle's short form"),
        pytest.param("Basket.swift", "Basket.pay()", "swift", "Sources/Shop/Basket.swift", id="name only"),
        pytest.param("Names.cs", "", "c_sharp", "", id="ambiguous name"),
        pytest.param("/app/Other/Names.cs", "", "c_sharp", "", id="two fit equally well"),
        pytest.param("/home/me/.cargo/registry/src/index.crates.io-6f17/cart-0.1.0/src/lib.rs", "", "rust", "crates/cart/src/lib.rs", id="own crate"),
        pytest.param("/home/me/.cargo/registry/src/index.crates.io-6f17/anyhow-1.0/src/lib.rs", "", "rust", "", id="other crate"),
        pytest.param("/rustc/90b35a6239c3d8bdabc530a6a0816f7ff89a0aaf/src/lib.rs", "", "rust", "", id="Rust itself"),
        pytest.param("package:ui/button.dart", "", "dart", "packages/ui/lib/button.dart", id="Dart package of a workspace"),
        pytest.param("package:other/button.dart", "", "dart", "", id="other Dart package"),
        pytest.param("/usr/lib/ruby/gems/3.2.0/gems/shop-1.2.0/lib/shop/order.rb", "", "ruby", "lib/shop/order.rb", id="own gem"),
        pytest.param("/usr/lib/ruby/gems/3.2.0/gems/other-1.2.0/lib/shop/order.rb", "", "ruby", "", id="other gem"),
        pytest.param("webpack-internal:///(app-pages-browser)/./app/page.tsx", "", "typescript", "web/app/page.tsx", id="Next.js"),
        pytest.param("webpack://_N_E/./app/page.tsx?3f2a", "", "typescript", "web/app/page.tsx", id="webpack"),
        pytest.param("file:///C:/dev/web/app/page.tsx?t=1", "", "typescript", "web/app/page.tsx", id="file URL"),
        pytest.param("github.com/a/shop/cart/total.go", "github.com/a/shop/cart.Total", "go", "cart/total.go", id="trimpath"),
        pytest.param("/home/dev/go/pkg/mod/github.com/a/log@v1.2.0/cart/total.go", "", "go", "", id="other Go module"),
        pytest.param("bazel-out/k8-fastbuild/bin/kernel/fs/read.c", "", "c", "kernel/fs/read.c", id="Bazel"),
        pytest.param("/home/me/try/main.py", "", "python", "", id="a name that everybody uses"),
        pytest.param("main.py", "", "python", "src/deep/main.py", id="such a name alone"),
        pytest.param("D:\\a\\1\\s\\src\\Shop\\Cart.cs", "", "c_sharp", "src/Shop/Cart.cs", id="Windows agent"),
    ],
)  # fmt: skip
def test_a_frame_is_mapped_where_it_belongs_or_not_at_all(raw: str, function: str, language: str, path: str) -> None:
    trace = Trace(language=language, frames=(Frame(raw_path=raw, function=function),))
    assert resolve(trace, MORE).frames[0].path == path


# ----------------------------------------------------------------------------------- the project itself, installed

CARGO = "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f"
GIN = {"go.mod": "module github.com/gin-gonic/gin\n\ngo 1.21\n", "tree.go": "", "binding/json.go": ""}
EXPRESS = {"package.json": '{"name": "express"}', "lib/response.js": "", "lib/router/index.js": ""}
TENSORZERO = {
    "Cargo.toml": '[workspace]\nmembers = ["tensorzero-core", "gateway"]\n',
    "tensorzero-core/Cargo.toml": '[package]\nname = "tensorzero-core"\n',
    "gateway/Cargo.toml": '[package]\nname = "gateway"\n',
    "tensorzero-core/src/cache.rs": "", "gateway/src/cache.rs": "", "gateway/src/error.rs": "",
}  # fmt: skip
ACME = {
    "package.json": '{"private": true, "workspaces": ["packages/*"]}',
    "packages/jobs/package.json": '{"name": "@acme/worker"}',
    "packages/core/package.json": '{"name": "@acme/core"}',
    "packages/jobs/src/config.ts": "", "packages/core/src/config.ts": "", "packages/core/lib/parse.js": "",
}  # fmt: skip
SHOP = {
    "pyproject.toml": '[project]\nname = "shop"\n',
    "src/shop/cart.py": "",
    "old/shop/cart.py": "",
    "src/client.rs": "",
}
GEM = {
    "shop.gemspec": 'Gem::Specification.new do |s|\n  s.name = "shop"\nend\n',
    "lib/shop/order.rb": "",
    "lib/version.rb": "",
}

PHP = {"composer.json": '{"name": "acme/log"}', "src/Logger.php": "", "demo/src/Logger.php": ""}


def placed(project: dict[str, str], raw: str, *, named: bool = True) -> str:
    names = declared_names(list(project), project.get) if named else {}
    frame = Frame(raw_path=raw, line=7)
    return resolve(Trace(language="x", frames=(frame,)), list(project), names).frames[0].path


@pytest.mark.parametrize(
    ("project", "raw", "path"),
    [
        pytest.param(GIN, "/go/pkg/mod/github.com/gin-gonic/gin@v1.10.0/tree.go", "tree.go", id="Go module"),
        pytest.param(GIN, "github.com/gin-gonic/gin@v1.10.0/binding/json.go", "binding/json.go", id="Go, trimpath"),
        pytest.param(GIN, "/go/pkg/mod/github.com/other/log@v1.10.0/tree.go", "", id="other Go module"),
        pytest.param(GIN, "github.com/other/log@v1.10.0/tree.go", "", id="other Go module, trimpath"),
        pytest.param(GIN, "/go/pkg/mod/github.com/other/gin@v1.10.0/tree.go", "", id="fork with another module path"),
        pytest.param(GIN, "/go/pkg/mod/github.com/other/binding@v1.0.0/binding/json.go", "", id="Go module like a directory"),
        pytest.param(EXPRESS, "/app/node_modules/express/lib/response.js", "lib/response.js", id="npm"),
        pytest.param(EXPRESS, "C:\\app\\node_modules\\express\\lib\\router\\index.js", "lib/router/index.js", id="npm, Windows"),
        pytest.param(EXPRESS, "/app/node_modules/.pnpm/express@4.1.0/node_modules/express/lib/response.js", "lib/response.js", id="pnpm"),
        pytest.param(EXPRESS, "/app/node_modules/koa/lib/response.js", "", id="other package of npm"),
        pytest.param(EXPRESS, "/app/node_modules/express/node_modules/send/lib/response.js", "", id="package inside"),
        pytest.param(TENSORZERO, f"{CARGO}/tensorzero-core-2025.1.0/src/cache.rs", "tensorzero-core/src/cache.rs", id="crate"),
        pytest.param(TENSORZERO, f"{CARGO}/moka-0.12.1/src/cache.rs", "", id="other crate"),
        pytest.param(TENSORZERO, "/usr/local/cargo/registry/src/github.com-1ecc6299db9ec823/moka-0.12.1/src/error.rs", "", id="image's Cargo"),
        pytest.param(ACME, "/srv/node_modules/@acme/worker/src/config.ts", "packages/jobs/src/config.ts", id="workspace"),
        pytest.param(ACME, "/srv/node_modules/@acme/worker/dist/config.js", "packages/jobs/src/config.ts", id="workspace, built"),
        pytest.param(ACME, "/srv/node_modules/@babel/core/lib/parse.js", "", id="other scope, same name"),
        pytest.param(ACME, "/srv/node_modules/core/lib/parse.js", "", id="same directory, other package"),
        pytest.param(SHOP, "/venv/lib/python3.12/site-packages/shop/cart.py", "src/shop/cart.py", id="Python, src layout"),
        pytest.param(PHP, "/var/www/vendor/acme/log/src/Logger.php", "src/Logger.php", id="Composer"),
        pytest.param(GEM, "/usr/lib/ruby/gems/3.2.0/gems/shop-1.2.0/lib/version.rb", "lib/version.rb", id="gem"),
        pytest.param(GEM, "/usr/lib/ruby/bundler/gems/shop-0a1b2c3d4e5f/lib/version.rb", "lib/version.rb", id="gem of a commit"),
        pytest.param(GEM, "/usr/lib/ruby/gems/3.2.0/gems/rack-3.0.1/lib/version.rb", "", id="other gem"),
    ],
)  # fmt: skip
def test_an_installed_copy_of_the_project_is_the_project_and_other_packages_are_not(
    project: dict[str, str], raw: str, path: str
) -> None:
    assert placed(project, raw) == path


def test_without_declared_names_the_directory_must_bear_the_name_of_the_package() -> None:
    project = {"packages/worker/src/config.ts": "", "packages/api/src/config.ts": "", "packages/core/lib/index.js": ""}
    assert placed(project, "/x/node_modules/@acme/worker/src/config.ts", named=False) == "packages/worker/src/config.ts"
    assert placed(project, "/x/node_modules/@acme/queue/src/config.ts", named=False) == ""
    assert placed(project, "/x/node_modules/@babel/core/lib/index.js", named=False) == ""
    crates = f"{CARGO}/tensorzero-core-2025.1.0/src/cache.rs"
    assert placed(TENSORZERO, crates, named=False) == "tensorzero-core/src/cache.rs"
    assert placed(GIN, "/go/pkg/mod/github.com/gin-gonic/gin@v1.10.0/tree.go", named=False) == ""


def test_the_names_that_a_project_declares_are_read_from_its_manifests() -> None:
    project = {
        "go.mod": '// a comment\nmodule "github.com/acme/shop/v2" // ours\n',
        "web/package.json": '\ufeff{"name": "@acme/web"}',
        "core/Cargo.toml": '[package]\nname = "acme-core"\nversion = "1.0.0"\n',
        "tool/pyproject.toml": '[tool.poetry]\nname = "acme-tool"\n',
        "php/composer.json": '{"name": "acme/shop"}',
        "gem/acme.gemspec": "Gem::Specification.new do |spec|\n  spec.name = 'acme'\nend\n",
        "copy/package.json": '{"name": "@acme/web/"}',
        "web/deep/package.json": '{"name": "@acme/web"}',
        "broken/package.json": '{"name": ',
        "list/package.json": '["name"]',
        "number/package.json": '{"name": 7}',
        "nested/package.json": "[" * 200_000,
        "broken/Cargo.toml": "[package\nname",
        "virtual/Cargo.toml": '[workspace]\nmembers = ["a"]\n',
        "web/node_modules/react/package.json": '{"name": "react"}',
        "tests/fixtures/app/package.json": '{"name": "vue"}',
    }
    assert declared_names([*project, "gone/package.json", "src/name.json"], project.get) == {
        "github.com/acme/shop/v2": "", "@acme/web": "web", "acme-core": "core", "acme-tool": "tool",
        "acme/shop": "php", "acme": "gem", "@acme/web/": "copy",
    }  # fmt: skip


def test_only_the_manifests_nearest_to_the_root_are_read() -> None:
    read: list[str] = []

    def reader(path: str) -> str:
        read.append(path)
        return json.dumps({"name": path})

    files = [f"packages/p{n:03}/package.json" for n in range(100)] + ["package.json", "packages/README.md"]
    assert declared_names(files, reader)["package.json"] == ""
    assert read == ["package.json", *(f"packages/p{n:03}/package.json" for n in range(MAX_MANIFESTS - 1))]


# ------------------------------------------------------------------------------------------- built, without a map

BUILDS = ["packages/worker/src/index.ts", "packages/worker/src/a/pay.tsx", "packages/api/src/index.ts", "src/cart.ts"]


@pytest.mark.parametrize(
    ("raw", "more", "path"),
    [
        pytest.param("/builds/x/packages/worker/dist/index.js", (), "packages/worker/src/index.ts", id="monorepo"),
        pytest.param("file:///b/packages/worker/build/a/pay.mjs", (), "packages/worker/src/a/pay.tsx", id="module"),
        pytest.param("/app/out/cart.cjs", (), "src/cart.ts", id="root"),
        pytest.param("/app/dist/cart.js", ("src/cart.tsx",), "", id="two sources"),
        pytest.param("/app/dist/cart.js", ("dist/cart.js",), "dist/cart.js", id="the built file is there"),
        pytest.param("/app/lib/cart.js", ("web/lib/cart.js",), "web/lib/cart.js", id="such a file elsewhere"),
        pytest.param("/b/packages/api/dist/cart.js", (), "", id="source of another package"),
        pytest.param("/app/dist/cart.py", (), "", id="not built from TypeScript"),
        pytest.param("/app/dist/index.js", (), "", id="which package"),
    ],
)
def test_a_built_file_is_its_only_source(raw: str, more: tuple[str, ...], path: str) -> None:
    trace = Trace(language="javascript", frames=(Frame(raw_path=raw, line=40, column=9),))
    frame = resolve(trace, [*BUILDS, *more]).frames[0]
    assert frame.path == path
    assert (frame.line, frame.column) == ((0, 0) if path.endswith((".ts", ".tsx")) else (40, 9))


@pytest.mark.parametrize(
    "raw", ["a" * 100_000, "a/" * 50_000, "a." * 50_000, "x@v" * 30_000, "vendor/" * 15_000, "-1." * 30_000]
)
def test_a_hostile_path_is_placed_in_linear_time(raw: str) -> None:
    def seconds(path: str) -> float:
        started = time.perf_counter()
        placed(GIN, path)
        placed(ACME, "node_modules/" + path)
        placed(GEM, "/gems/" + path + "/dist/a.js")
        return time.perf_counter() - started

    assert seconds(raw) < 8 * seconds(raw[: len(raw) // 4]) + 0.3


# -------------------------------------------------------------------------------------------------- source maps

# Written by the TypeScript compiler 7.0 and by esbuild 0.28 from the two files of `SOURCES`; the places that are expected
# are those of the sources' text, and what `node --enable-source-maps` prints for the same programs.
SOURCES = {
    "src/cart.ts": """
export interface Item { name: string; price: number }

export function total(items: Item[]): number {
  let sum = 0;
  for (const item of items) {
    if (item.price < 0) {
      throw new RangeError(`price of ${item.name}`);
    }
    sum += item.price;
  }
  return sum;
}
""".lstrip(),
    "src/main.ts": """
import { total } from "./cart";

function pay(): void {
  const sum = total([{ name: "x", price: -1 }]);
  console.log(sum);
}

pay();
""".lstrip(),
}
CART_MAP = (
    '{"version":3,"file":"cart.js","sourceRoot":"","sources":["../src/cart.ts"],"names":[],"mappings":";;'
    ";AAEA,eAAsB,KAAa;IACjC,IAAI,GAAG,GAAG,CAAC,CAAC;IACZ,KAAK,MAAM,IAAI,IAAI,KAAK,EAAE,CAAC;QACzB,IAAI,I"
    "AAI,CAAC,KAAK,GAAG,CAAC,EAAE,CAAC;YACnB,MAAM,IAAI,UAAU,CAAC,YAAY,IAAI,CAAC,IAAI,EAAE,CAAC,CAAC;QAChD"
    ',CAAC;QACD,GAAG,IAAI,IAAI,CAAC,KAAK,CAAC;IACpB,CAAC;IACD,OAAO,GAAG,CAAC;AACb,CAAC"}'
)
MAIN_MAP = (
    '{"version":3,"file":"main.js","sourceRoot":"","sources":["../src/main.ts"],"names":[],"mappings":";;'
    "AAAA,iCAA+B;AAE/B,SAAS,GAAG;IACV,MAAM,GAAG,GAAG,IAAA,YAAK,EAAC,CAAC,EAAE,IAAI,EAAE,GAAG,EAAE,KAAK,EA"
    "AE,CAAC,CAAC,EAAE,CAAC,CAAC,CAAC;IAC9C,OAAO,CAAC,GAAG,CAAC,GAAG,CAAC,CAAC;AACnB,CAAC;AAED,GAAG,EAAE,"
    'CAAC"}'
)
BUNDLE_MAP = (
    "ewogICJ2ZXJzaW9uIjogMywKICAic291cmNlcyI6IFsiLi4vc3JjL2NhcnQudHMiLCAiLi4vc3JjL21haW4udHMiXSwKICAic291"
    "cmNlc0NvbnRlbnQiOiBbImV4cG9ydCBpbnRlcmZhY2UgSXRlbSB7IG5hbWU6IHN0cmluZzsgcHJpY2U6IG51bWJlciB9XG5cbmV4"
    "cG9ydCBmdW5jdGlvbiB0b3RhbChpdGVtczogSXRlbVtdKTogbnVtYmVyIHtcbiAgbGV0IHN1bSA9IDA7XG4gIGZvciAoY29uc3Qg"
    "aXRlbSBvZiBpdGVtcykge1xuICAgIGlmIChpdGVtLnByaWNlIDwgMCkge1xuICAgICAgdGhyb3cgbmV3IFJhbmdlRXJyb3IoYHBy"
    "aWNlIG9mICR7aXRlbS5uYW1lfWApO1xuICAgIH1cbiAgICBzdW0gKz0gaXRlbS5wcmljZTtcbiAgfVxuICByZXR1cm4gc3VtO1xu"
    "fVxuIiwgImltcG9ydCB7IHRvdGFsIH0gZnJvbSBcIi4vY2FydFwiO1xuXG5mdW5jdGlvbiBwYXkoKTogdm9pZCB7XG4gIGNvbnN0"
    "IHN1bSA9IHRvdGFsKFt7IG5hbWU6IFwieFwiLCBwcmljZTogLTEgfV0pO1xuICBjb25zb2xlLmxvZyhzdW0pO1xufVxuXG5wYXko"
    "KTtcbiJdLAogICJtYXBwaW5ncyI6ICJBQUVPLFNBQVNBLEVBQU1DLEVBQXVCLENBQzNDLElBQUlDLEVBQU0sRUFDVixRQUFXQyxL"
    "QUFRRixFQUFPLENBQ3hCLEdBQUlFLEVBQUssTUFBUSxFQUNmLE1BQU0sSUFBSSxXQUFXLFlBQVlBLEVBQUssSUFBSSxFQUFFLEVB"
    "RTlDRCxHQUFPQyxFQUFLLEtBQ2QsQ0FDQSxPQUFPRCxDQUNULENDVEEsU0FBU0UsR0FBWSxDQUNuQixJQUFNQyxFQUFNQyxFQUFN"
    "LENBQUMsQ0FBRSxLQUFNLElBQUssTUFBTyxFQUFHLENBQUMsQ0FBQyxFQUM1QyxRQUFRLElBQUlELENBQUcsQ0FDakIsQ0FFQUQs"
    "RUFBSSIsCiAgIm5hbWVzIjogWyJ0b3RhbCIsICJpdGVtcyIsICJzdW0iLCAiaXRlbSIsICJwYXkiLCAic3VtIiwgInRvdGFsIl0K"
    "fQo="
)
BUNDLE_TRACE = """
RangeError: price of x
    at t (/srv/shop/out/bundle.js:1:58)
    at n (/srv/shop/out/bundle.js:1:134)
    at Object.<anonymous> (/srv/shop/out/bundle.js:1:174)
    at Module._compile (node:internal/modules/cjs/loader:1521:14)
"""
COMPILED_TRACE = """
RangeError: price of x
    at total (/srv/shop/dist/cart.js:8:19)
    at pay (/srv/shop/dist/main.js:5:34)
    at Object.<anonymous> (/srv/shop/dist/main.js:8:1)
"""


def mapped(trace: Trace) -> list[tuple[str, int, str, str]]:
    return [(frame.path, frame.line, frame.function, frame.code) for frame in trace.frames]


def test_the_frames_of_compiled_files_are_moved_to_their_sources() -> None:
    built = {
        "dist/cart.js": "…\n//# sourceMappingURL=cart.js.map",
        "dist/cart.js.map": CART_MAP,
        "dist/main.js": "…",
        "dist/main.js.map": MAIN_MAP,
    }
    (trace,) = parse(COMPILED_TRACE)
    assert [frame.column for frame in trace.frames] == [1, 34, 19]
    assert mapped(resolve(unbuilt(trace, built.get), list(SOURCES))) == [
        ("src/main.ts", 8, "Object.<anonymous>", ""),
        ("src/main.ts", 4, "pay", ""),
        ("src/cart.ts", 7, "total", ""),
    ]


def test_the_frames_of_a_minified_bundle_with_its_map_inside_are_moved_to_their_sources() -> None:
    built = {"out/bundle.js": f"…\n//# sourceMappingURL=data:application/json;base64,{BUNDLE_MAP}\n"}
    (trace,) = parse(BUNDLE_TRACE)
    moved = resolve(unbuilt(trace, built.get), list(SOURCES))
    assert mapped(moved)[1:] == [
        ("src/main.ts", 8, "Object.<anonymous>", "pay();"),
        ("src/main.ts", 4, "n", 'const sum = total([{ name: "x", price: -1 }]);'),
        ("src/cart.ts", 7, "t", "throw new RangeError(`price of ${item.name}`);"),
    ]
    for path, line, _, code in mapped(moved)[1:]:
        assert SOURCES[path].splitlines()[line - 1].strip() == code
    assert moved.frames[0].raw_path == "node:internal/modules/cjs/loader"


def test_a_trace_without_maps_stays_as_it_is() -> None:
    (trace,) = parse(BUNDLE_TRACE)
    assert unbuilt(trace, lambda path: None) == trace
    assert unbuilt(trace, lambda path: "no map here") == trace
    assert unbuilt(trace, lambda path: "//# sourceMappingURL=bundle.js.map" if path.endswith(".js") else "{") == trace


@pytest.mark.parametrize(
    ("segment", "numbers"),
    [
        # The digits of the specification: A is 0, C is 1, D is -1; a digit of 32 and more goes on; gB is 16, hB is -16.
        ("A", [0]), ("C", [1]), ("D", [-1]), ("gB", [16]), ("hB", [-16]), ("2H", [123]), ("AAgBC", [0, 0, 16, 1]), ("g", []), ("A!", []),
    ],
)  # fmt: skip
def test_segments_are_decoded_as_the_specification_says(segment: str, numbers: list[int]) -> None:
    assert decode(segment) == numbers


def test_an_indexed_map_shifts_lines_and_columns_by_the_offset_of_its_section() -> None:
    # Two sections: the first from the start, the second from line 2 (counted from 0), column 10. Each maps the place where
    # it begins to the first line of its source, and column 4 (AAAA, then IACE: +4, same source, +1 line, +2 columns).
    def part(source: str) -> dict[str, object]:
        return {"version": 3, "sourceRoot": "src", "sources": [source], "names": [], "mappings": "AAAA,IACE;AAAA"}

    indexed = read_map(
        json.dumps(
            {
                "version": 3,
                "sections": [
                    {"offset": {"line": 0, "column": 0}, "map": part("a.ts")},
                    {"offset": {"line": 2, "column": 10}, "map": part("b.ts")},
                ],
            }
        )
    )
    assert indexed is not None
    places = [indexed.find(line, column) for line, column in ((1, 0), (1, 7), (3, 12), (3, 15), (4, 0))]
    assert [(place.source, place.line, place.column) for place in places if place is not None] == [
        ("src/a.ts", 1, 0), ("src/a.ts", 2, 2), ("src/b.ts", 1, 0), ("src/b.ts", 2, 2), ("src/b.ts", 2, 2),
    ]  # fmt: skip
    assert indexed.find(3, 9) is None


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", '{"version": 2, "mappings": ""}', '{"version": 3, "mappings": 7}', '{"version":3,"sections":[{"offset":{}}]}', "[" * 100_000],
    ids=["empty", "object", "list", "null", "revision 2", "no mappings", "broken section", "deep"],
)  # fmt: skip
def test_what_is_no_map_maps_nothing(text: str) -> None:
    found = read_map(text)
    assert found is None or found.find(1, 1) is None


def test_broken_maps_are_survived() -> None:
    broken = SourceMap(sources=("a.ts",), mappings="AAAA,zzzzzzzzzzzz!,AEAA,,;;DDDD")
    assert [broken.find(line, 5) for line in (2, 4, 9)] == [None, None, None]
    assert read_map("x" * 6_000_001) is None


def test_a_map_may_not_lead_out_of_the_project() -> None:
    asked: list[str] = []

    def read(path: str) -> str | None:
        asked.append(path)
        return "//# sourceMappingURL=../../../etc/passwd" if path == "out/bundle.js" else None

    unbuilt(parse(BUNDLE_TRACE)[0], read)
    assert "out/bundle.js.map" in asked
    assert not any(path.startswith(("/", "..")) for path in asked)
