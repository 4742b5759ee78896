"""One sample of each form in which a runtime, a debugger or a test runner prints where it failed.

The samples follow the formats as the vendors document or print them; what is expected was read off by hand. It is
written as `exception | first line of the message`, then one `path:line function` a line, outermost first; a cause is
indented below what followed from it.
"""

from __future__ import annotations

from textwrap import dedent

import pytest

from orchestra_mcp.context.output.traces import parse
from orchestra_mcp.types import Trace


def shown(trace: Trace, indent: str = "") -> list[str]:
    """A trace in the notation of this file."""
    lines = [f"{indent}{trace.exception} | {trace.message.partition(chr(10))[0]}".rstrip()]
    lines += [f"{indent}{frame.raw_path}:{frame.line} {frame.function}".rstrip() for frame in trace.frames]
    return lines + (shown(trace.cause, indent + "  ") if trace.cause is not None else [])


CASES: dict[str, tuple[str, str]] = {}


def case(name: str, text: str, expected: str) -> None:
    CASES[name] = (dedent(text).strip("\n"), dedent(expected).strip("\n"))


# ------------------------------------------------------------------------------------------------------- Python

case(
    "Jupyter, IPython 8",
    """
    ---------------------------------------------------------------------------
    ValueError                                Traceback (most recent call last)
    Cell In[3], line 5
          2     return int(x)
          4 y = 1
    ----> 5 load("a")

    Cell In[3], line 2, in load(x)
          1 def load(x):
    ----> 2     return read(x)

    File ~/proj/src/pkg/io.py:12, in read(path, mode)
         10 def read(path, mode):
         11     with open(path) as f:
    ---> 12         return parse(f)

    ValueError: invalid literal for int() with base 10: 'a'
    """,
    """
    ValueError | invalid literal for int() with base 10: 'a'
    Cell In[3]:5
    Cell In[3]:2 load
    ~/proj/src/pkg/io.py:12 read
    """,
)
case(
    "Jupyter, chained, IPython 7",
    """
    ---------------------------------------------------------------------------
    KeyError                                  Traceback (most recent call last)
    ~/anaconda3/lib/python3.8/site-packages/pandas/core/indexes/base.py in get_loc(self, key, method)
       3079             try:
    -> 3080                 return self._engine.get_loc(casted_key)
       3081             except KeyError as err:

    pandas/_libs/index.pyx in pandas._libs.index.IndexEngine.get_loc()

    KeyError: 'b'

    The above exception was the direct cause of the following exception:

    KeyError                                  Traceback (most recent call last)
    <ipython-input-2-52b3e1a1e6b3> in <module>
          1 df = make()
    ----> 2 df["b"]

    KeyError: 'b'
    """,
    """
    KeyError | 'b'
    <ipython-input-2-52b3e1a1e6b3>:2 <module>
      KeyError | 'b'
      ~/anaconda3/lib/python3.8/site-packages/pandas/core/indexes/base.py:3080 get_loc
    """,
)
case(
    "Jupyter, Input In",
    """
    Input In [4], in <cell line: 1>()
    ----> 1 run()

    File C:\\work\\proj\\run.py:7, in run()
          6 def run():
    ----> 7     raise RuntimeError("no")

    RuntimeError: no
    """,
    """
    RuntimeError | no
    Input In [4]:1 <cell line: 1>
    C:\\work\\proj\\run.py:7 run
    """,
)
case(
    "Python, faulthandler",
    """
    Fatal Python error: Segmentation fault

    Current thread 0x00007f8a1c5f2740 (most recent call first):
      File "/app/src/native.py", line 31 in call
      File "/app/main.py", line 8 in <module>
    """,
    """
    Fatal Python error | Segmentation fault
    /app/main.py:8 <module>
    /app/src/native.py:31 call
    """,
)
case(
    "py-spy dump",
    """
    Thread 3128 (active): "MainThread"
        wait (threading.py:320)
        run (/app/worker.py:55)
        <module> (/app/main.py:9)
    """,
    """
     |
    /app/main.py:9 <module>
    /app/worker.py:55 run
    threading.py:320 wait
    """,
)
case(
    "Django's debug page",
    """
    Traceback:

    File "/usr/lib/python3.8/site-packages/django/core/handlers/exception.py" in inner
      34.             response = get_response(request)

    File "/code/shop/views.py" in index
      12.     return total / 0

    ZeroDivisionError: division by zero
    """,
    """
    ZeroDivisionError | division by zero
    /usr/lib/python3.8/site-packages/django/core/handlers/exception.py:34 inner
    /code/shop/views.py:12 index
    """,
)
case(
    "rich",
    """
    ╭─────────────────── Traceback (most recent call last) ───────────────────╮
    │ /home/me/proj/app/cli.py:21 in main                                     │
    │                                                                         │
    │   19 @app.command()                                                     │
    │   20 def main(path: str):                                               │
    │ ❱ 21     load(path)                                                     │
    │   22                                                                    │
    │                                                                         │
    │ /home/me/proj/app/io.py:7 in load                                       │
    │                                                                         │
    │ ❱  7     return open(path)                                              │
    ╰─────────────────────────────────────────────────────────────────────────╯
    FileNotFoundError: [Errno 2] No such file or directory: 'x'
    """,
    """
    FileNotFoundError | [Errno 2] No such file or directory: 'x'
    /home/me/proj/app/cli.py:21 main
    /home/me/proj/app/io.py:7 load
    """,
)
case(
    "Python warning",
    """
    /srv/app/tools.py:340: RuntimeWarning: divide by zero encountered in divide
      np.trunc(np.log(a / b))
    """,
    """
    RuntimeWarning | divide by zero encountered in divide
    /srv/app/tools.py:340
    """,
)
case(
    "multiprocessing",
    '''
    multiprocessing.pool.RemoteTraceback:
    """
    Traceback (most recent call last):
      File "/app/work.py", line 4, in work
        return 1 / n
    ZeroDivisionError: division by zero
    """

    The above exception was the direct cause of the following exception:

    Traceback (most recent call last):
      File "/app/main.py", line 9, in <module>
        pool.map(work, [0])
    ZeroDivisionError: division by zero
    ''',
    """
    ZeroDivisionError | division by zero
    /app/main.py:9 <module>
      ZeroDivisionError | division by zero
      /app/work.py:4 work
    """,
)

# --------------------------------------------------------------------------------------------------- JavaScript

case(
    "Vitest",
    """
     FAIL  src/cart.test.ts > cart > adds
    AssertionError: expected 3 to be 4 // Object.is equality

    - Expected
    + Received

    - 4
    + 3

     ❯ Cart.add src/cart.ts:8:11
     ❯ src/cart.test.ts:12:23
         10|
         11| it("adds", () => {
         12|   expect(sum(1, 2)).toBe(4)
           |                     ^
    """,
    """
    AssertionError | expected 3 to be 4 // Object.is equality
    src/cart.test.ts:12
    src/cart.ts:8 Cart.add
    """,
)
case(
    "Mocha",
    """
      1) cart
           adds:

          AssertionError [ERR_ASSERTION]: Expected values to be strictly equal:

    true !== false

          + expected - actual

          at Context.<anonymous> (X:\\Work\\app\\test\\files.test.js:52:16)
          at process.processImmediate (node:internal/timers:476:21)
    """,
    """
    AssertionError | Expected values to be strictly equal:
    node:internal/timers:476 process.processImmediate
    X:\\Work\\app\\test\\files.test.js:52 Context.<anonymous>
    """,
)
case(
    "Jasmine",
    """
    1) cart adds
      Message:
        Expected 3 to be 4.
      Stack:
        Error: Expected 3 to be 4.
            at <Jasmine>
            at UserContext.<anonymous> (/app/spec/cart.spec.js:9:19)
            at <Jasmine>
    """,
    """
    Error | Expected 3 to be 4.
    /app/spec/cart.spec.js:9 UserContext.<anonymous>
    """,
)
case(
    "Safari",
    """
    pay@https://shop.example/static/pay.js:12:9
    forEach@[native code]
    global code@https://shop.example/static/main.js:4:3
    """,
    """
     |
    https://shop.example/static/main.js:4 global code
    :0 forEach
    https://shop.example/static/pay.js:12 pay
    """,
)
case(
    "Firefox, eval",
    """
    baz@http://localhost:8080/file.js line 26 > eval line 2 > eval:1:30
    foo@http://localhost:8080/file.js line 26 > eval:2:96
    speak@http://localhost:8080/file.js:26:17
    """,
    """
     |
    http://localhost:8080/file.js:26 speak
    http://localhost:8080/file.js:26 foo
    http://localhost:8080/file.js:26 baz
    """,
)
case(
    "Internet Explorer",
    """
    TypeError: Unable to get property 'undef' of undefined or null reference
       at Anonymous function (http://path/to/file.js:47:21)
       at foo (http://path/to/file.js:45:13)
       at Global code (http://path/to/file.js:108:1)
    """,
    """
    TypeError | Unable to get property 'undef' of undefined or null reference
    http://path/to/file.js:108 Global code
    http://path/to/file.js:45 foo
    http://path/to/file.js:47 Anonymous function
    """,
)
case(
    "Opera",
    """
    <anonymous function: run>([arguments not available])@http://path/to/file.js:27
    bar([arguments not available])@http://path/to/file.js:18
    """,
    """
     |
    http://path/to/file.js:18 bar
    http://path/to/file.js:27 <anonymous function: run>
    """,
)
case(
    "React Native, Hermes",
    """
    TypeError: undefined is not a function
        at render (address at index.android.bundle:1:2345)
        at anonymous (http://localhost:8081/index.bundle//&platform=ios&dev=true:1234:12)
    """,
    """
    TypeError | undefined is not a function
    http://localhost:8081/index.bundle//&platform=ios&dev=true:1234 anonymous
    index.android.bundle:1 render
    """,
)
case(
    "React, component stack",
    """
    Warning: Each child in a list should have a unique "key" prop.
        in Cart (at src/App.js:12)
        in App (at src/index.js:7)
    """,
    """
     |
    src/index.js:7 App
    src/App.js:12 Cart
    """,
)
case(
    "webpack in the browser",
    """
    Uncaught (in promise) TypeError: Cannot read properties of undefined (reading 'map')
        at List (webpack-internal:///./src/components/List.jsx:14:23)
        at eval (webpack:///./src/index.js?:5:1)
    """,
    """
    TypeError | Cannot read properties of undefined (reading 'map')
    webpack:///./src/index.js?:5 eval
    webpack-internal:///./src/components/List.jsx:14 List
    """,
)
case(
    "Bun",
    """
    1 | export function pay() {
    2 |   throw new Error("a");
                ^
    error: a
          at pay (/app/src/pay.ts:2:9)
          at /app/src/main.ts:10:1
    """,
    """
    error | a
    /app/src/main.ts:10
    /app/src/pay.ts:2 pay
    """,
)

# ---------------------------------------------------------------------------------------------------------- JVM

case(
    "Java, suppressed and caused",
    """
    Exception in thread "main" java.lang.IllegalStateException: outer
    \tat com.example.Main.main(Main.java:9)
    \tSuppressed: java.io.IOException: close
    \t\tat com.example.Res.close(Res.java:20)
    \t\t... 1 more
    \tCaused by: java.lang.Error: inside
    \t\tat com.example.Res.inner(Res.java:25)
    Caused by: java.lang.RuntimeException: root
    \tat com.example.Main.run(Main.java:5)
    \t... 1 common frames omitted
    """,
    """
    java.lang.IllegalStateException | outer
    Main.java:9 com.example.Main.main
      java.lang.RuntimeException | root
      Main.java:5 com.example.Main.run

    java.io.IOException | close
    Res.java:20 com.example.Res.close
      java.lang.Error | inside
      Res.java:25 com.example.Res.inner
    """,
)
case(
    "Java, root cause first",
    """
    java.net.ConnectException: refused
        at com.example.Net.open(Net.java:3)
    Wrapped by: com.example.ShopException: cannot pay
        at com.example.Shop.pay(Shop.java:8)
    """,
    """
    com.example.ShopException | cannot pay
    Shop.java:8 com.example.Shop.pay
      java.net.ConnectException | refused
      Net.java:3 com.example.Net.open
    """,
)
case(
    "Java, modules and jars",
    """
    2024-01-01 10:00:00.000 ERROR 1 --- [main] o.s.b.SpringApplication : Application run failed

    java.lang.NullPointerException: Cannot invoke "String.length()" because "s" is null
    \tat app//com.example.Shop.lambda$pay$0(Shop.java:8) ~[classes!/:1.0]
    \tat java.base/java.util.ArrayList.forEach(ArrayList.java:1511) ~[na:na]
    \tat com.example.Shop$$Lambda$14/0x0000000800066840.run(Unknown Source) ~[classes!/:na]
    """,
    """
    java.lang.NullPointerException | Cannot invoke "String.length()" because "s" is null
    :0 com.example.Shop$$Lambda$14/0x0000000800066840.run
    ArrayList.java:1511 java.util.ArrayList.forEach
    Shop.java:8 com.example.Shop.lambda$pay$0
    """,
)
case(
    "Gradle",
    """
    > Task :test FAILED

    CartTest > adds FAILED
        org.opentest4j.AssertionFailedError at CartTest.java:12
            Caused by: java.lang.IllegalArgumentException at Cart.java:34

    2 tests completed, 1 failed
    """,
    """
    org.opentest4j.AssertionFailedError |
    CartTest.java:12
      java.lang.IllegalArgumentException |
      Cart.java:34
    """,
)
case(
    "Surefire, summary",
    """
    [ERROR] Failures:
    [ERROR]   CartTest.adds:42 expected:<1> but was:<2>
    [ERROR]   CartTest.pays:50->helper:61 » NullPointer
    [INFO]
    [ERROR] Tests run: 5, Failures: 2, Errors: 0, Skipped: 0
    """,
    """
     | expected:<1> but was:<2>
    :42 CartTest.adds

     | » NullPointer
    :50 CartTest.pays
    """,
)
case(
    "Surefire, old report",
    """
    Tests run: 1, Failures: 1, Errors: 0, Skipped: 0, Time elapsed: 0.05 sec <<< FAILURE!
    adds(com.example.CartTest)  Time elapsed: 0.01 sec  <<< FAILURE!
    java.lang.AssertionError: expected:<1> but was:<2>
    \tat org.junit.Assert.fail(Assert.java:88)
    \tat com.example.CartTest.adds(CartTest.java:42)
    """,
    """
    java.lang.AssertionError | expected:<1> but was:<2>
    CartTest.java:42 com.example.CartTest.adds
    Assert.java:88 org.junit.Assert.fail
    """,
)
case(
    "Kotlin test with a name in words",
    """
    java.lang.AssertionError: Expected value to be true.
        at com.example.CartTest.adds two items(CartTest.kt:21)
        at com.example.CartKt.main(Cart.kt)
    """,
    """
    java.lang.AssertionError | Expected value to be true.
    Cart.kt:0 com.example.CartKt.main
    CartTest.kt:21 com.example.CartTest.adds two items
    """,
)
case(
    "Kotlin coroutine boundary",
    """
    java.lang.IllegalStateException: no
    \tat com.example.Repo.load(Repo.kt:11)
    \tat \u0008\u0008\u0008(Coroutine boundary.\u0008(\u0008)
    \tat com.example.MainKt$main$1.invokeSuspend(Main.kt:7)
    """,
    """
    java.lang.IllegalStateException | no
    Main.kt:7 com.example.MainKt$main$1.invokeSuspend
    Repo.kt:11 com.example.Repo.load
    """,
)
case(
    "logcat",
    """
    05-24 13:49:47.863 11618 11618 E AndroidRuntime: FATAL EXCEPTION: main
    05-24 13:49:47.863 11618 11618 E AndroidRuntime: Process: com.example.app, PID: 11618
    05-24 13:49:47.863 11618 11618 E AndroidRuntime: java.lang.RuntimeException: Unable to start activity
    05-24 13:49:47.863 11618 11618 E AndroidRuntime: \tat android.app.ActivityThread.performLaunchActivity(ActivityThread.java:3000)
    05-24 13:49:47.863 11618 11618 E AndroidRuntime: Caused by: java.lang.NullPointerException: x
    05-24 13:49:47.863 11618 11618 E AndroidRuntime: \tat com.example.app.MainActivity.onCreate(MainActivity.kt:31)
    05-24 13:49:47.863 11618 11618 E AndroidRuntime: \t... 11 more
    """,
    """
    java.lang.RuntimeException | Unable to start activity
    ActivityThread.java:3000 android.app.ActivityThread.performLaunchActivity
      java.lang.NullPointerException | x
      MainActivity.kt:31 com.example.app.MainActivity.onCreate
    """,
)
case(
    "logcat of Android Studio",
    """
    2023-01-01 10:00:00.123  1234-1234  AndroidRuntime          com.example.app                      E  FATAL EXCEPTION: main
    2023-01-01 10:00:00.123  1234-1234  AndroidRuntime          com.example.app                      E  java.lang.IllegalStateException: x
    2023-01-01 10:00:00.123  1234-1234  AndroidRuntime          com.example.app                      E  \tat com.example.app.Main.go(Main.kt:5)
    """,
    """
    java.lang.IllegalStateException | x
    Main.kt:5 com.example.app.Main.go
    """,
)
case(
    "thread dump",
    """
    "main" #1 prio=5 os_prio=0 tid=0x1 nid=0x2 waiting for monitor entry [0x3]
       java.lang.Thread.State: BLOCKED (on object monitor)
    \tat com.example.A.lock(A.java:10)
    \t- waiting to lock <0x000000076ab> (a java.lang.Object)
    \tat com.example.A.main(A.java:4)

    "worker" #12 prio=5 os_prio=0 tid=0x1 nid=0x2 runnable
       java.lang.Thread.State: RUNNABLE
    \tat com.example.B.run(B.java:7)
    """,
    """
     |
    A.java:4 com.example.A.main
    A.java:10 com.example.A.lock

     |
    B.java:7 com.example.B.run
    """,
)
case(
    "ScalaTest under sbt",
    """
    [info] CartSpec:
    [info] - should add *** FAILED ***
    [info]   3 did not equal 4 (CartSpec.scala:12)
    [error] Failed tests:
    """,
    """
     | 3 did not equal 4
    CartSpec.scala:12
    """,
)

# ----------------------------------------------------------------------------------------------------------- Go

case(
    "Go, data race",
    """
    ==================
    WARNING: DATA RACE
    Read at 0x00c0000140a8 by goroutine 8:
      main.(*Cart).Total()
          /app/cart/cart.go:12 +0x3a

    Previous write at 0x00c0000140a8 by goroutine 7:
      main.main.func1()
          /app/main.go:9 +0x44

    Goroutine 8 (running) created at:
      main.main()
          /app/main.go:15 +0x8e
    ==================
    """,
    """
    DATA RACE |
    /app/cart/cart.go:12 main.(*Cart).Total

     |
    /app/main.go:9 main.main.func1

     |
    /app/main.go:15 main.main
    """,
)
case(
    "delve",
    """
    0  0x0000000000455f4c in runtime.raise
       at /usr/lib/go/src/runtime/sys_linux_amd64.s:150
    1  0x00000000004a1b2c in main.pay
       at ./main.go:12
    """,
    """
     |
    ./main.go:12 main.pay
    /usr/lib/go/src/runtime/sys_linux_amd64.s:150 runtime.raise
    """,
)
case(
    "panicparse",
    """
    panic: oh no

    1: running [Created by main.main @ main.go:20]
        main    main.go:12     pay(0x1)
        main    main.go:44     main.func1(...)
    """,
    """
    panic | oh no
    main.go:44 main.func1
    main.go:12 pay
    """,
)
case(
    "Go, pkg/errors",
    """
    cannot load: no such file
    main.load
    \t/app/main.go:12
    main.main
    \t/app/main.go:20
    runtime.main
    \t/usr/lib/go/src/runtime/proc.go:203
    """,
    """
     |
    /usr/lib/go/src/runtime/proc.go:203 runtime.main
    /app/main.go:20 main.main
    /app/main.go:12 main.load
    """,
)
case(
    "Go, one line of JSON",
    r"""
    {"level":"error","ts":1.5,"msg":"failed","stacktrace":"main.load\n\t/app/main.go:12\nmain.main\n\t/app/main.go:20"}
    """,
    """
     |
    /app/main.go:20 main.main
    /app/main.go:12 main.load
    """,
)
case(
    "testify",
    """
    --- FAIL: TestCart (0.00s)
        cart_test.go:12:
            \tError Trace:\t/app/cart_test.go:12
            \t            \t\t\t\t/app/helper_test.go:33
            \tError:      \tNot equal:
            \t            \texpected: 1
            \tTest:       \tTestCart
    FAIL
    """,
    """
    FAIL | TestCart
    /app/helper_test.go:33 TestCart
    /app/cart_test.go:12 TestCart
    cart_test.go:12 TestCart
    """,
)

# --------------------------------------------------------------------------------------------------------- Rust

case(
    "Rust, message over several lines, old form",
    """
    thread 'tests::adds' panicked at 'assertion failed: `(left == right)`
      left: `1`,
     right: `2`', src/lib.rs:12:9
    """,
    """
    panic | assertion failed: `(left == right)`
    src/lib.rs:12
    """,
)
case(
    "anyhow",
    """
    Error: cannot read the settings

    Caused by:
        No such file or directory (os error 2)

    Stack backtrace:
       0: anyhow::error::<impl anyhow::Error>::msg
                 at /home/me/.cargo/registry/src/index.crates.io-6f17d22bba15001f/anyhow-1.0.75/src/error.rs:83:36
       1: app::settings::read
                 at ./src/settings.rs:12:5
       2: app::main
                 at ./src/main.rs:4:16
    """,
    """
    Error | cannot read the settings
    ./src/main.rs:4 app::main
    ./src/settings.rs:12 app::settings::read
    /home/me/.cargo/registry/src/index.crates.io-6f17d22bba15001f/anyhow-1.0.75/src/error.rs:83 anyhow::error::<impl anyhow::Error>::msg
    """,
)
case(
    "color-eyre",
    """
    The application panicked (crashed).
    Message:  oh no
    Location: src/main.rs:12

      ━━━━━━━━━━━━━━━━━━ BACKTRACE ━━━━━━━━━━━━━━━━━━
                      ⋮ 6 frames hidden ⋮
       7: app::pay::h0123456789abcdef
          at /app/src/main.rs:12
       8: app::main::h0123456789abcdef
          at /app/src/main.rs:4
    """,
    """
     | oh no
    /app/src/main.rs:4 app::main
    /app/src/main.rs:12 app::pay
    """,
)

# --------------------------------------------------------------------------------------------------------- .NET

for _name, _at, _in, _line, _end in (
    ("Russian", "в", "в", "строка", "--- Конец трассировки внутреннего стека исключений ---"),
    ("German", "bei", "in", "Zeile", "--- Ende der internen Ausnahmestapelüberwachung ---"),
    ("French", "à", "dans", "ligne", "--- Fin de la trace de la pile d'exception interne ---"),
    ("Chinese", "在", "位置", "行号", "--- 内部异常堆栈跟踪的结尾 ---"),
    ("Japanese", "場所", "場所", "行", "--- 内部例外スタック トレースの終わり ---"),
    ("Spanish", "en", "en", "línea", "--- Fin del seguimiento de la pila de la excepción interna ---"),
):
    case(
        f".NET in {_name}",
        f"""
        System.InvalidOperationException: outer ---> System.NullReferenceException: inner
           {_at} Shop.Cart.Price(Int32 index) {_in} C:\\code\\Shop\\Cart.cs:{_line} 42
           {_end}
           {_at} Shop.Program.Main(String[] args) {_in} C:\\code\\Shop\\Program.cs:{_line} 7
        """,
        """
        System.InvalidOperationException | outer
        C:\\code\\Shop\\Program.cs:7 Shop.Program.Main
          System.NullReferenceException | inner
          C:\\code\\Shop\\Cart.cs:42 Shop.Cart.Price
        """,
    )
case(
    ".NET, Application Insights",
    """
    System.InvalidOperationException: no
       at Shop.Cart.Price (Shop.Core, Version=1.0.0.0, Culture=neutral, PublicKeyToken=null: D:\\a\\1\\s\\Cart.cs:42)
       at System.Threading.Tasks.Task.Wait (mscorlib, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089)
    """,
    """
    System.InvalidOperationException | no
    :0 System.Threading.Tasks.Task.Wait
    D:\\a\\1\\s\\Cart.cs:42 Shop.Cart.Price
    """,
)
case(
    "Unity",
    """
    NullReferenceException: Object reference not set to an instance of an object
    Player.Update () (at Assets/Scripts/Player.cs:42)
    UnityEngine.Debug:Log(Object)
    """,
    """
    NullReferenceException | Object reference not set to an instance of an object
    Assets/Scripts/Player.cs:42 Player.Update
    """,
)
case(
    "Mono",
    """
    Unhandled Exception:
    System.NullReferenceException: Object reference not set to an instance of an object
      at Shop.Cart.Price (System.Int32 index) [0x00012] in /home/me/shop/Cart.cs:42
      at (wrapper runtime-invoke) System.Object.runtime_invoke_void (object,intptr,intptr,intptr) [0x00000] in <d636f104d58046fd9b195699bcb1a744>:0
    """,
    """
    System.NullReferenceException | Object reference not set to an instance of an object
    :0 System.Object.runtime_invoke_void
    /home/me/shop/Cart.cs:42 Shop.Cart.Price
    """,
)
case(
    "xUnit",
    """
      Failed Shop.Tests.CartTests.Adds [12 ms]
      Error Message:
       System.InvalidOperationException : no
      Stack Trace:
         at Shop.Cart.<>c__DisplayClass4_0.<Run>b__0() in /src/Shop/Cart.cs:line 42
         at Shop.Cart.<AddAsync>d__7.MoveNext() in /src/Shop/Cart.cs:line 50
      --- End of stack trace from previous location ---
         at Shop.Tests.CartTests.Adds() in /src/Shop.Tests/CartTests.cs:line 12
    """,
    """
    System.InvalidOperationException | no
    /src/Shop.Tests/CartTests.cs:12 Shop.Tests.CartTests.Adds
    /src/Shop/Cart.cs:50 Shop.Cart.AddAsync
    /src/Shop/Cart.cs:42 Shop.Cart.Run
    """,
)

# --------------------------------------------------------------------------------------------------------- Ruby

case(
    "Ruby 2.7, outermost first",
    """
    Traceback (most recent call last):
    \t2: from app.rb:9:in `<main>'
    \t1: from app.rb:5:in `run'
    app.rb:2:in `pay': undefined method `+' for nil:NilClass (NoMethodError)
    """,
    """
    NoMethodError | undefined method `+' for nil:NilClass
    app.rb:9 <main>
    app.rb:5 run
    app.rb:2 pay
    """,
)
case(
    "Ruby 3.4 with a cause",
    """
    app.rb:6:in 'Shop#pay': cannot pay (RuntimeError)
    \tfrom app.rb:12:in '<main>'
    lib/calc.rb:3:in 'Integer#/': divided by 0 (ZeroDivisionError)
    \tfrom lib/calc.rb:3:in 'Calc.run'
    \tfrom app.rb:4:in 'Shop#pay'
    \tfrom app.rb:12:in '<main>'
    """,
    """
    RuntimeError | cannot pay
    app.rb:12 <main>
    app.rb:6 Shop#pay
      ZeroDivisionError | divided by 0
      app.rb:12 <main>
      app.rb:4 Shop#pay
      lib/calc.rb:3 Calc.run
      lib/calc.rb:3 Integer#/
    """,
)
case(
    "RSpec",
    """
      1) Cart adds
         Failure/Error: expect(cart.total).to eq(4)

           expected: 4
                got: 3

           (compared using ==)
         # ./lib/cart.rb:8:in `total'
         # ./spec/cart_spec.rb:12:in `block (2 levels) in <top (required)>'
    """,
    """
    Error | expect(cart.total).to eq(4)
    ./spec/cart_spec.rb:12 <top (required)>
    ./lib/cart.rb:8 total
    """,
)
case(
    "Minitest",
    """
      1) Failure:
    CartTest#test_adds [test/cart_test.rb:12]:
    Expected: 4
      Actual: 3
    """,
    """
     | CartTest#test_adds
    test/cart_test.rb:12
    """,
)
case(
    "JRuby",
    """
    RuntimeError: no
         require at org/jruby/RubyKernel.java:974
             pay at /app/lib/cart.rb:12
          <main> at app.rb:4
    """,
    """
    RuntimeError | no
    app.rb:4 <main>
    /app/lib/cart.rb:12 pay
    org/jruby/RubyKernel.java:974 require
    """,
)
case(
    "Rails",
    """
    F, [2024-01-01T10:00:00.000000 #1] FATAL -- : [abc]
    F, [2024-01-01T10:00:00.000000 #1] FATAL -- : [abc] ActionView::Template::Error (undefined method `name' for nil:NilClass):
        1: <h1><%= @user.name %></h1>

    app/views/users/show.html.erb:1
    app/controllers/users_controller.rb:8:in `show'

    Caused by:
    NoMethodError: undefined method `name' for nil:NilClass

    app/models/user.rb:3:in `find'
    """,
    """
     |
    app/controllers/users_controller.rb:8 show
      NoMethodError | undefined method `name' for nil:NilClass
      app/models/user.rb:3 find
    """,
)

# ---------------------------------------------------------------------------------------------------------- PHP

case(
    "PHP",
    """
    PHP Fatal error:  Uncaught InvalidArgumentException: no such item in /app/src/Cart.php:12
    Stack trace:
    #0 /app/src/Shop.php(30): Shop\\Cart->add(Object(Item))
    #1 /app/index.php(4): Shop\\Shop->run()
    #2 {main}

    Next RuntimeException: cannot pay in /app/src/Shop.php:33
    Stack trace:
    #0 /app/index.php(4): Shop\\Shop->run()
    #1 {main}
      thrown in /app/src/Shop.php on line 33
    """,
    """
    InvalidArgumentException | no such item
    /app/index.php:4 {main}
    /app/src/Shop.php:30 Shop\\Shop->run
    /app/src/Cart.php:12 Shop\\Cart->add
      RuntimeException | cannot pay
      /app/index.php:4 {main}
      /app/src/Shop.php:33 Shop\\Shop->run
    """,
)
case(
    "PHP in the log of Apache",
    r"""
    [Mon Jan 01 10:00:00.000000 2024] [php:error] [pid 12] [client 10.0.0.1:5000] PHP Fatal error:  Uncaught Error: no in /app/a.php:3\nStack trace:\n#0 /app/index.php(9): pay()\n#1 {main}\n  thrown in /app/a.php on line 3
    """,
    """
    Error | no
    /app/index.php:9 {main}
    /app/a.php:3 pay
    """,
)
case(
    "PHP in a page",
    """
    <br />
    <b>Warning</b>:  Undefined variable $x in <b>/app/a.php</b> on line <b>3</b><br />
    """,
    """
    Warning | Undefined variable $x
    /app/a.php:3
    """,
)
case(
    "Xdebug",
    """
    PHP Fatal error:  Uncaught Exception: no in /app/a.php:3
    PHP Stack trace:
    PHP   1. {main}() /app/index.php:0
    PHP   2. pay($x = 1) /app/index.php:9
    """,
    """
    Exception | no
    /app/index.php:0
    /app/index.php:9 {main}
    /app/a.php:3 pay
    """,
)
case(
    "Collision",
    """
       Illuminate\\Database\\QueryException

      SQLSTATE[HY000] [2002] Connection refused

      at vendor/laravel/framework/src/Illuminate/Database/Connection.php:760
        756▕         // If an exception occurs
      ➜ 760▕             throw new QueryException(
        761▕             );

          +36 vendor frames

      37  app/Http/Controllers/HomeController.php:12
          App\\Http\\Controllers\\HomeController::index()
    """,
    """
    Illuminate\\Database\\QueryException | SQLSTATE[HY000] [2002] Connection refused
    app/Http/Controllers/HomeController.php:12
    vendor/laravel/framework/src/Illuminate/Database/Connection.php:760
    """,
)
case(
    "PHPUnit",
    """
    1) Tests\\CartTest::testAdds
    Failed asserting that 3 matches expected 4.

    /app/tests/CartTest.php:12
    /app/vendor/phpunit/phpunit/src/Framework/TestCase.php:1617
    """,
    """
     | Tests\\CartTest::testAdds
    /app/vendor/phpunit/phpunit/src/Framework/TestCase.php:1617
    /app/tests/CartTest.php:12
    """,
)
case(
    "Symfony console",
    """
    In Cart.php line 12:

      no such item

    Exception trace:
      at /app/src/Cart.php:12
     App\\Cart->add() at /app/src/Shop.php:30
    """,
    """
     |
    /app/src/Shop.php:30 App\\Cart->add
    /app/src/Cart.php:12
    """,
)

# ------------------------------------------------------------------------------------------------------- native

case(
    "Valgrind",
    """
    ==218== Invalid write of size 4
    ==218==    at 0x40054F: store (cart.c:12)
    ==218==    by 0x405709: procxx::pipe::underflow(int, char) (process.h:293)
    ==218==    by 0x400573: main (in /srv/www/a.out)
    ==218==  Address 0x53fe068 is 0 bytes after a block of size 40 alloc'd
    ==218==    at 0x4C2AB80: malloc (vg_replace_malloc.c:299)
    ==218==    by 0x400546: make (cart.c:7)
    """,
    """
    Invalid write of size 4 |
    :0 main
    process.h:293 procxx::pipe::underflow
    cart.c:12 store

     |
    cart.c:7 make
    vg_replace_malloc.c:299 malloc
    """,
)
case(
    "ThreadSanitizer",
    """
    WARNING: ThreadSanitizer: data race (pid=26327)
      Write of size 4 at 0x7f89554701d0 by thread T1:
        #0 Thread1(void*) /src/race.cc:4:9 (race+0x4a1d)

      Previous write of size 4 at 0x7f89554701d0 by main thread:
        #0 main /src/race.cc:10:10 (race+0x4b2e)

      Thread T1 (tid=26328, running) created by main thread at:
        #0 pthread_create <null> (race+0x427e)
        #1 main /src/race.cc:9:3 (race+0x4b1e)
    """,
    """
    ThreadSanitizer: data race |
    /src/race.cc:4 Thread1

     |
    /src/race.cc:10 main

     |
    /src/race.cc:9 main
    :0 pthread_create
    """,
)
case(
    "LeakSanitizer",
    """
    ==7829==ERROR: LeakSanitizer: detected memory leaks

    Direct leak of 7 byte(s) in 1 object(s) allocated from:
        #0 0x42c0c5 in __interceptor_malloc (/usr/home/me/a.out+0x42c0c5) (BuildId: 4e1fa2)
        #1 0x43ef81 in main /usr/home/me/leak.c:6:12
    """,
    """
    LeakSanitizer: detected | memory leaks
    /usr/home/me/leak.c:6 main
    :0 __interceptor_malloc
    """,
)
case(
    "GDB, wrapped frames",
    """
    Thread 1 "a.out" received signal SIGSEGV, Segmentation fault.
    #0  0x00005555 in price (cart=0x0,
        n=<optimized out>) at src/cart.c:12
    #1  <signal handler called>
    #2  0x00007fff in raise () from /lib/libc.so.6
    #3  shop::Cart::pay(int) const (this=0x0, n=3) at src/cart.cc:40
    #4  main () at src/main.c:5
    """,
    """
    SIGSEGV | Segmentation fault.
    src/main.c:5 main
    src/cart.cc:40 shop::Cart::pay
    :0 raise
    src/cart.c:12 price
    """,
)
case(
    "LLDB",
    """
    * thread #1, queue = 'com.apple.main-thread', stop reason = EXC_BAD_ACCESS (code=1, address=0x0)
      * frame #0: 0x0000000100003f6c a.out`shop::pay(cart=0x0) at cart.cpp:12:15
        frame #1: 0x0000000100003f90 a.out`main at main.cpp:5:3
        frame #2: 0x00007fff2050bf3d libdyld.dylib`start + 1
    """,
    """
    EXC_BAD_ACCESS | (code=1, address=0x0)
    :0 start
    main.cpp:5 main
    cart.cpp:12 shop::pay
    """,
)
case(
    "WinDbg",
    """
    # ChildEBP RetAddr
    00 0012fcbc 00401a2b shop!Cart::Price+0x1a [c:\\src\\shop\\cart.cpp @ 42]
    01 0012fd10 00401c3d shop!main+0x2b [c:\\src\\shop\\main.cpp @ 7]
    02 0012ff80 7c817067 kernel32!BaseProcessStart+0x23
    """,
    """
     |
    :0 kernel32!BaseProcessStart
    c:\\src\\shop\\main.cpp:7 shop!main
    c:\\src\\shop\\cart.cpp:42 shop!Cart::Price
    """,
)
case(
    "glibc",
    """
    *** Error in `./a.out': double free or corruption (fasttop): 0x0000000001c2a010 ***
    ======= Backtrace: =========
    /lib/x86_64-linux-gnu/libc.so.6(cfree+0x4c)[0x7f1b]
    ./a.out(pay+0x1e)[0x400abc]
    ./a.out(main+0x9)[0x400ad0]
    """,
    """
    Error | double free or corruption (fasttop): 0x0000000001c2a010
    :0 main
    :0 pay
    :0 cfree
    """,
)
case(
    "tombstone",
    """
    signal 11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0x30
    backtrace:
          #00 pc 000e1818  /system/lib/libart.so
          #01 pc 00280a27  /system/lib/libart.so (artQuickGenericJniTrampoline+34)
          #02 pc 000f0809  /data/app/com.example/lib/arm64/libshop.so (shop::Cart::price(int)+12) (BuildId: 12ab)
    """,
    """
    SIGSEGV | code 1 (SEGV_MAPERR), fault addr 0x30
    :0 shop::Cart::price
    :0 artQuickGenericJniTrampoline
    """,
)
case(
    "kernel",
    """
    [   12.345678] BUG: kernel NULL pointer dereference, address: 0000000000000008
    [   12.345679] RIP: 0010:shop_read+0x12/0x30 [shop]
    [   12.345680] Call Trace:
    [   12.345681]  <TASK>
    [   12.345682]  vfs_read+0x9d/0x180 fs/read_write.c:461
    [   12.345683]  ? do_sys_openat2+0x70/0x150
    [   12.345684]  __x64_sys_read fs/read_write.c:620 [inline]
    [   12.345685]  </TASK>
    """,
    """
    kernel NULL pointer dereference, address: 0000000000000008 |
    fs/read_write.c:620 __x64_sys_read
    fs/read_write.c:461 vfs_read
    :0 shop_read
    """,
)
case(
    "GoogleTest",
    """
    /src/shop/cart_test.cc:12: Failure
    Expected equality of these values:
      cart.total()
        Which is: 3
      4
    """,
    """
    Failure |
    /src/shop/cart_test.cc:12
    """,
)
case(
    "Chromium",
    """
    [1234:1234:0303/172027.123456:FATAL:cart.cc(22)] Check failed: cart.
    #0 0x5555 in base::debug::StackTrace::StackTrace() base/debug/stack_trace.cc:203:3
    #1 0x5556 in shop::Cart::Price(int) shop/cart.cc:22:5
    """,
    """
    FATAL | Check failed: cart.
    shop/cart.cc:22 shop::Cart::Price
    base/debug/stack_trace.cc:203 base::debug::StackTrace::StackTrace
    """,
)
case(
    "Swift on Linux",
    """
    main/main.swift:4: Fatal error: Index out of range

    Thread 0 "shop" crashed:

    0 [inlined] 0x00005561 Swift runtime failure in shop at /home/me/shop/Sources/main.swift:4
    1 0x0000556112345678 pay(_:) + 12 in shop at /home/me/shop/Sources/cart.swift:9:5
    2 [ra] 0x0000556112345679 main + 0 in shop at /home/me/shop/Sources/main.swift:12:1
    """,
    """
    Fatal error | Index out of range
    /home/me/shop/Sources/main.swift:12 main
    /home/me/shop/Sources/cart.swift:9 pay(_:)
    /home/me/shop/Sources/main.swift:4 Swift runtime failure
    """,
)
case(
    "XCTest",
    """
    /Users/me/shop/Tests/CartTests.swift:12: error: -[ShopTests.CartTests testAdds] : XCTAssertEqual failed: ("3") is not equal to ("4")
    """,
    """
    error | -[ShopTests.CartTests testAdds] : XCTAssertEqual failed: ("3") is not equal to ("4")
    /Users/me/shop/Tests/CartTests.swift:12
    """,
)
case(
    "Swift, uncaught exception",
    """
    2018-06-06 17:27:05.902357-0700 Shop[79915:24107707] *** Terminating app due to uncaught exception 'NSInvalidArgumentException', reason: 'unrecognized selector'
    *** First throw call stack:
    (
    \t0   CoreFoundation                      0x000000010b3e21e6 __exceptionPreprocess + 294
    \t1   Shop                                0x0000000104f1d2a0 Cart.pay() + 120 (Cart.swift:42)
    )
    """,
    """
    NSInvalidArgumentException | unrecognized selector
    Cart.swift:42 Cart.pay()
    :0 __exceptionPreprocess
    """,
)

# --------------------------------------------------------------------------------------------------------- Dart

case(
    "dart test",
    """
    00:01 +0 -1: adds [E]
      Expected: <4>
        Actual: <3>

      package:matcher                                     expect
      package:test_api/src/expect/expect.dart 149:31      fail
      test/cart_test.dart 12:5                            main.<fn>
    """,
    """
     |
    test/cart_test.dart:12 main.<fn>
    package:test_api/src/expect/expect.dart:149 fail
    """,
)
case(
    "Flutter",
    """
    ══╡ EXCEPTION CAUGHT BY WIDGETS LIBRARY ╞══════════════════
    The following _TypeError was thrown building Cart(dirty):
    type 'Null' is not a subtype of type 'String'

    The relevant error-causing widget was:
      Cart Cart:file:///home/me/shop/lib/main.dart:12:5

    When the exception was thrown, this was the stack:
    #0      Cart.build (package:shop/cart.dart:21:9)
    #1      StatelessElement.build (package:flutter/src/widgets/framework.dart:4876:49)
    """,
    """
    _TypeError | building Cart(dirty):
    package:flutter/src/widgets/framework.dart:4876 StatelessElement.build
    package:shop/cart.dart:21 Cart.build
    file:///home/me/shop/lib/main.dart:12 Cart
    """,
)
case(
    "Flutter on Android",
    """
    E/flutter ( 1234): [ERROR:flutter/lib/ui/ui_dart_state.cc(157)] Unhandled Exception: Exception: no
    E/flutter ( 1234): #0      Cart.pay (package:shop/cart.dart:21:9)
    E/flutter ( 1234): <asynchronous suspension>
    """,
    """
    Unhandled Exception | Exception: no
    package:shop/cart.dart:21 Cart.pay
    """,
)

# ------------------------------------------------------------------------------------------------ Elixir, Erlang

case(
    "ExUnit",
    """
      1) test adds (Shop.CartTest)
         test/cart_test.exs:9
         ** (Protocol.UndefinedError) protocol Enumerable not implemented for nil
         code: assert Cart.total(cart) == 4
         stacktrace:
           (elixir 1.17.3) lib/enum.ex:1: Enumerable.impl_for!/1
           (shop 0.1.0) lib/shop/cart.ex:12: Shop.Cart.total/1
           test/cart_test.exs:11: (test)
    """,
    """
    Protocol.UndefinedError | protocol Enumerable not implemented for nil
    test/cart_test.exs:9
    test/cart_test.exs:11 test
    lib/shop/cart.ex:12 Shop.Cart.total/1
    lib/enum.ex:1 Enumerable.impl_for!/1
    """,
)
case(
    "Elixir, CompileError",
    """
    ** (CompileError) lib/shop/cart.ex:12: undefined function total/1
    """,
    """
    CompileError | undefined function total/1
    lib/shop/cart.ex:12
    """,
)
case(
    "Erlang",
    """
    ** Reason for termination ==
    ** {badarg,[{erlang,binary_to_atom,[<<"x">>],[]},
                {my_server,handle_call,3,[{file,"src/my_server.erl"},{line,42}]},
                {gen_server,try_handle_call,4,[{file,"gen_server.erl"},{line,615}]}]}
    """,
    """
    Reason for termination | ** {badarg,[{erlang,binary_to_atom,[<<"x">>],[]},
    gen_server.erl:615 gen_server:try_handle_call
    src/my_server.erl:42 my_server:handle_call
    """,
)
case(
    "Erlang shell",
    """
    ** exception error: no match of right hand side value 3
         in function  cart:total/1 (cart.erl, line 12)
         in call from shop:pay/0 (shop.erl, line 20)
    """,
    """
    exception error | no match of right hand side value 3
    shop.erl:20 shop:pay/0
    cart.erl:12 cart:total/1
    """,
)

# ---------------------------------------------------------------------------------------------------- compilers

for _name, _text, _expected in (
    ("javac", "src/Cart.java:12: error: cannot find symbol", "error | cannot find symbol\nsrc/Cart.java:12"),
    ("kotlinc, old", "e: /app/src/Cart.kt: (12, 5): Unresolved reference: x", " | Unresolved reference: x\n/app/src/Cart.kt:12"),
    ("kotlinc", "e: file:///app/src/Cart.kt:12:5 Unresolved reference: x", " | Unresolved reference: x\n/app/src/Cart.kt:12"),
    ("MSVC", "C:\\shop\\cart.cpp(12): error C2065: 'x': undeclared identifier", "error C2065 | 'x': undeclared identifier\nC:\\shop\\cart.cpp:12"),
    ("C#", "Cart.cs(12,5): error CS0103: The name 'x' does not exist [/app/Shop.csproj]",
     "error CS0103 | The name 'x' does not exist [/app/Shop.csproj]\nCart.cs:12"),
    ("linker", "/usr/bin/ld: cart.o: in function `pay': cart.c:12: undefined reference to `total'", " | undefined reference to `total'\ncart.c:12"),
    ("mypy", 'src/cart.py:12: error: Name "x" is not defined  [name-defined]', 'error | Name "x" is not defined  [name-defined]\nsrc/cart.py:12'),
    ("flake8", "src/cart.py:12:5: F821 undefined name 'x'", "F821 | undefined name 'x'\nsrc/cart.py:12"),
    ("go build", "./cart.go:12:5: undefined: x", " | undefined: x\n./cart.go:12"),
    ("webpack", "ERROR in ./src/App.tsx 12:5-9", " |\n./src/App.tsx:12"),
    ("dart", "lib/cart.dart:12:5: Error: Undefined name 'x'.", "Error | Undefined name 'x'.\nlib/cart.dart:12"),
    ("swiftc", "/app/Sources/cart.swift:12:5: error: cannot find 'x' in scope", "error | cannot find 'x' in scope\n/app/Sources/cart.swift:12"),
):  # fmt: skip
    case(f"compiler {_name}", _text, _expected)

# -------------------------------------------------------------------------------------------------------- chains

case(
    ".NET Core, aggregate and asynchronous",
    """
    Unhandled exception. System.AggregateException: One or more errors occurred. (no)
     ---> System.InvalidOperationException: no
       at Shop.Cart.PriceAsync() in /src/Shop/Cart.cs:line 42
       at Shop.Cart.<>c.<<Run>b__0_0>d.MoveNext() in /src/Shop/Cart.cs:line 50
    --- End of stack trace from previous location ---
       --- End of inner exception stack trace ---
       at System.Threading.Tasks.Task.Wait()
       at Shop.Program.<Main>$(String[] args) in /src/Shop/Program.cs:line 3
    """,
    """
    System.AggregateException | One or more errors occurred. (no)
    /src/Shop/Program.cs:3 Shop.Program.Main
    :0 System.Threading.Tasks.Task.Wait
      System.InvalidOperationException | no
      /src/Shop/Cart.cs:50 Shop.Cart.Run
      /src/Shop/Cart.cs:42 Shop.Cart.PriceAsync
    """,
)
for _name, _led in (
    ("German", "Unbehandelte Ausnahme. "), ("German Framework", "Unbehandelte Ausnahme: "), ("French", "Exception non gérée : "),
    ("Chinese", "未经处理的异常:  "), ("Chinese, wide colon", "未经处理的异常："), ("English", "Unhandled exception. "),
):  # fmt: skip
    case(
        f".NET, uncaught, {_name}",
        f"{_led}System.InvalidOperationException: leer\n   at Shop.Cart.Price(Int32 n) in /src/Shop/Cart.cs:line 42\n",
        "System.InvalidOperationException | leer\n/src/Shop/Cart.cs:42 Shop.Cart.Price",
    )
case(
    ".NET, German frames",
    """
    Unbehandelte Ausnahme. Bestellfehler.OrderException: nein
     ---> System.FormatException: Preis
       bei Shop.Price.Parse(String text) in C:\\src\\Price.cs:Zeile 12.
       --- Ende der internen Ausnahmestapelüberwachung ---
       bei Shop.Order.Place(Int32 n) in C:\\src\\Order.cs:Zeile 55.
    """,
    """
    Bestellfehler.OrderException | nein
    C:\\src\\Order.cs:55 Shop.Order.Place
      System.FormatException | Preis
      C:\\src\\Price.cs:12 Shop.Price.Parse
    """,
)
case(
    "Node, AggregateError",
    """
    AggregateError: two
        at run (/app/a.js:3:9) {
      [errors]: [
        Error: one
            at first (/app/a.js:10:9),
        TypeError: other
            at second (/app/a.js:20:9)
      ]
    }
    """,
    """
    AggregateError | two
    /app/a.js:3 run

    Error | one
    /app/a.js:10 first

    TypeError | other
    /app/a.js:20 second
    """,
)
case(
    "Phoenix",
    """
    [error] #PID<0.512.0> running ShopWeb.Endpoint (connection #PID<0.511.0>, stream id 1) terminated
    Server: localhost:4000 (http)
    Request: GET /
    ** (exit) an exception was raised:
        ** (KeyError) key :name not found in: %{id: 1}
            (shop 0.1.0) lib/shop_web/page.ex:7: ShopWeb.Page.home/2
            (phoenix 1.7.10) lib/phoenix/router.ex:432: Phoenix.Router.__call__/5
    """,
    """
    KeyError | key :name not found in: %{id: 1}
    lib/phoenix/router.ex:432 Phoenix.Router.__call__/5
    lib/shop_web/page.ex:7 ShopWeb.Page.home/2
    """,
)
case(
    "Elixir, the client's stack apart from the server's",
    """
    ** (FunctionClauseError) no function clause matching in anonymous fn/1 in Shop.Stack.top/0
        (shop 0.1.0) lib/shop/stack.ex:12: anonymous fn([]) in Shop.Stack.top/0
    Last message (from #PID<0.4323.0>): :top
    State: {[], []}
    Client #PID<0.4323.0> is alive

        (elixir 1.19.5) lib/gen_server.ex:1139: GenServer.call/3
    """,
    """
    FunctionClauseError | no function clause matching in anonymous fn/1 in Shop.Stack.top/0
    lib/shop/stack.ex:12 anonymous fn in Shop.Stack.top/0

     |
    lib/gen_server.ex:1139 GenServer.call/3
    """,
)
case(
    "Laravel's log",
    r"""
    [2024-01-01 10:00:00] production.ERROR: Undefined variable $x {"exception":"[object] (ErrorException(code: 0): Undefined variable $x at /var/www/app/Home.php:42)
    [stacktrace]
    #0 /var/www/app/Home.php(42): Illuminate\\Foundation\\HandleExceptions->handleError()
    #1 /var/www/vendor/laravel/framework/src/Illuminate/Routing/Controller.php(54): App\\Home->index()
    #2 {main}
    "}
    """,
    r"""
    ErrorException | Undefined variable $x
    /var/www/vendor/laravel/framework/src/Illuminate/Routing/Controller.php:54 {main}
    /var/www/app/Home.php:42 App\Home->index
    """,
)
case(
    "a crash report of Apple's",
    """
    Exception Type:  EXC_BAD_ACCESS (SIGSEGV)

    Thread 0 Crashed:: Dispatch queue: com.apple.main-thread
    0   Shop                          \t0x0000000104bd1a2c Cart.total.getter + 44 (Cart.swift:21)
    1   UIKitCore                     \t0x00000001b5f4e1c4 -[UIViewController loadViewIfRequired] + 172

    Thread 1:
    0   libsystem_kernel.dylib        \t0x00000001e0a2c4b8 __workq_kernreturn + 8
    """,
    """
    EXC_BAD_ACCESS (SIGSEGV) |
    :0 -[UIViewController loadViewIfRequired]
    Cart.swift:21 Cart.total.getter

     |
    :0 __workq_kernreturn
    """,
)
case(
    "Go, a served request and a failed test",
    """
    2024/01/01 10:00:00 http: panic serving 127.0.0.1:54321: runtime error: invalid memory address or nil pointer dereference
    goroutine 20 [running]:
    panic({0x6a5c40?, 0x8f1d30?})
    \t/usr/local/go/src/runtime/panic.go:920 +0x270
    main.(*Server).handle(0x0, {0x7a3f88, 0xc0001480e0}, 0xc000154000)
    \t/app/server/handle.go:31 +0x1d
    created by net/http.(*Server).Serve in goroutine 1
    \t/usr/local/go/src/net/http/server.go:3086 +0x5cb
    """,
    """
    panic | runtime error: invalid memory address or nil pointer dereference
    /usr/local/go/src/net/http/server.go:3086 net/http.(*Server).Serve
    /app/server/handle.go:31 main.(*Server).handle
    /usr/local/go/src/runtime/panic.go:920 panic
    """,
)
case(
    "Java, all in one line",
    "java.lang.NullPointerException: x at com.example.Cart.total(Cart.java:12) at com.example.Main.main(Main.java:5)",
    """
    java.lang.NullPointerException | x
    Main.java:5 com.example.Main.main
    Cart.java:12 com.example.Cart.total
    """,
)
case(
    "MemorySanitizer",
    """
    ==6726== WARNING: MemorySanitizer: use-of-uninitialized-value
        #0 0x7fd1c2944171 in main /src/umr.cc:6:7

      Uninitialized value was created by a heap allocation
        #0 0x7fd1c28d4a3d in operator new[](unsigned long) (/src/a.out+0x4fa3d)
        #1 0x7fd1c2944a11 in main /src/umr.cc:4:12
    """,
    """
    MemorySanitizer: use-of-uninitialized-value |
    /src/umr.cc:6 main

     |
    /src/umr.cc:4 main
    :0 operator new[]
    """,
)
case(
    "PHP, a wrong argument",
    """
    PHP Fatal error:  Uncaught TypeError: pay(): Argument #1 must be of type int, string given, called in /app/index.php on line 9 and defined in /app/a.php:3
    """,
    """
    TypeError | pay(): Argument #1 must be of type int, string given
    /app/index.php:9
    /app/a.php:3
    """,
)
case(
    "Angular",
    """
    ERROR Error: Uncaught (in promise): TypeError: Cannot read property 'x' of undefined
    TypeError: Cannot read property 'x' of undefined
        at AppComponent.ngOnInit (app.component.ts:21)
        at ZoneDelegate.invoke (zone-evergreen.js:364)
    """,
    """
    TypeError | Cannot read property 'x' of undefined
    zone-evergreen.js:364 ZoneDelegate.invoke
    app.component.ts:21 AppComponent.ngOnInit
    """,
)
case(
    "Ruby, message first",
    """
    undefined method `foo' for nil:NilClass (NoMethodError)
      /app/lib/a.rb:3:in `bar'
      /app/lib/b.rb:9:in `each'
    """,
    """
    NoMethodError | undefined method `foo' for nil:NilClass
    /app/lib/b.rb:9 each
    /app/lib/a.rb:3 bar
    """,
)
case(
    "pytest, the end of a failure",
    """
    E   AssertionError: assert 3 == 4
    E    +  where 3 = total([1, 2])

    tests/test_cart.py:12: AssertionError
    """,
    """
    AssertionError | assert 3 == 4
    tests/test_cart.py:12
    """,
)


@pytest.mark.parametrize("name", CASES)
def test_each_form_of_a_trace_gives_its_frames(name: str) -> None:
    text, expected = CASES[name]
    found = "\n\n".join("\n".join(shown(trace)) for trace in parse(text))
    assert found == "\n".join(line.rstrip() for line in expected.splitlines())


_PROSE = [
    "See cart.py:12 and the section at the end of README.md, line 40; it happens at 10:12:13.",
    "def total(items): return sum(items)  # at most 3 (see notes.txt:7)",
    "if (a) { b(c) } else { throw new Error('x') } // http://localhost:8080/index.html",
    "server listening at http://127.0.0.1:8000/ (pid 12)",
    "* 1: one  * 2: two (three)  #4 fixed in #5, see #6 (closed)",
    "commit 1a2b3c4 (HEAD -> main) by a.b@example.com:22",
    "let x = { at: foo(bar, baz), in: qux(1) }",
    "- [x] in `a/b.c:3` of a list; from a/b.rb:4",
    "INFO 12:00:01 worker@host:8080 started in 3 ms (cold)",
    "The package name.of.something and Other.Thing() were removed in 1.2.3.",
]


def test_prose_source_and_ordinary_logs_hold_no_traces() -> None:
    for text in (*_PROSE, "\n".join(_PROSE), "\n\n".join(_PROSE * 3)):
        assert parse(text) == ()
