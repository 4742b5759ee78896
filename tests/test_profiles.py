"""Profilers' output, query plans and long logs: what costs most, and which lines matter."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_mcp.context.output import logs, profiles
from orchestra_mcp.context.output.hotspots import Profile
from orchestra_mcp.context.output.profiledialects import DIALECTS
from orchestra_mcp.context.packing import estimate_tokens

ROOT = Path(__file__).resolve().parent.parent

SLOW = """\
import time


def inner(n):
    return sum(i * i for i in range(n))


def outer():
    return [inner(20_000) for _ in range(20)]


def sleepy():
    time.sleep(0.2)


def main():
    outer()
    sleepy()


main()
"""


def is_linear(work: Callable[[str], object], piece: str, head: str = "") -> bool:
    """True when four times the text takes well under sixteen times the CPU time; what takes no time at all is linear."""

    def seconds(size: int) -> float:
        text = head + piece * (size // len(piece))
        before = time.process_time()
        work(text)
        return time.process_time() - before

    return seconds(100_000) < 12 * max(0.02, seconds(25_000))


def parsed(text: str) -> Profile:
    profile = profiles.parse(text)
    assert profile is not None
    return profile


# ------------------------------------------------------------------------------------------------ real tools, run here


def test_cprofile_of_a_real_run_names_the_slow_call_and_its_caller(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW, "utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "cProfile", "slow.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    profile = profiles.resolve(parsed(run.stdout), ["app/other.py", "slow.py"])
    assert profile.kind == "cProfile"
    assert profile.unit == "s"
    assert profile.whole >= 0.2
    by_name = {spot.function: spot for spot in profile.hotspots}
    sleep = by_name["{built-in method time.sleep}"]
    assert sleep.own >= 0.2
    assert sleep.calls == 1
    assert sleep.path == ""
    inner = by_name["inner"]
    assert (inner.path, inner.line, inner.calls) == ("slow.py", 4, 20)
    assert by_name["sleepy"].line == 12
    assert by_name["sleepy"].total >= 0.2
    assert [spot.own for spot in profile.hotspots[:5]] == sorted((s.own for s in profile.hotspots[:5]), reverse=True)
    shown = [spot.function for spot in profiles.places(profile)]
    assert "sleepy" in shown[:2]
    assert "inner" in shown[:5]
    assert not {"main", "<module>"} & set(shown[:4])  # they only contain the rest


def test_pytest_durations_of_a_real_run_lead_to_the_test_file(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text(
        "import time, pytest\n\n@pytest.fixture\ndef db():\n    time.sleep(0.15)\n\n"
        "def test_slow(db):\n    time.sleep(0.3)\n\nclass TestX:\n"
        "    @pytest.mark.parametrize('a', ['x y'])\n    def test_p(self, a):\n        time.sleep(0.05)\n",
        "utf-8",
    )
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--durations=5", "--durations-min=0.01", "-p", "no:cacheprovider", "tests"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    profile = profiles.resolve(parsed(run.stdout), ["tests/test_a.py", "tests/test_b.py"])
    assert [(spot.function, spot.path, spot.note) for spot in profile.hotspots] == [
        ("test_slow", "tests/test_a.py", ""),
        ("test_slow", "tests/test_a.py", "setup"),
        ("TestX::test_p[x y]", "tests/test_a.py", ""),
    ]


def test_sqlite_tells_which_table_is_read_whole() -> None:
    database = sqlite3.connect(":memory:")
    database.executescript(
        "create table a(id integer primary key, x int); create table b(id integer primary key, aid int, y text)"
    )
    rows = database.execute(
        "explain query plan select * from a join b on b.aid=a.id where b.y='q' order by a.x"
    ).fetchall()
    database.close()
    text = "QUERY PLAN\n" + "\n".join(f"{'`' if n + 1 == len(rows) else '|'}--{row[3]}" for n, row in enumerate(rows))
    profile = parsed(f"Why is this slow?\n\n{text}\n")
    assert profile.kind == "SQLite plan"
    assert profile.hotspots[0].function in ("SCAN b", "SCAN TABLE b")
    assert any("b: every row is read" in finding for finding in profile.findings)
    assert any("ORDER BY" in finding for finding in profile.findings)
    assert not any(finding.startswith("SEARCH") for finding in profile.findings)


def test_import_times_of_a_real_interpreter_are_read() -> None:
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import json.tool"], capture_output=True, text=True, check=True
    )
    profile = parsed(run.stderr)
    assert profile.kind == "import times"
    assert {"import json", "import json.tool"} & {spot.function for spot in profile.hotspots}


# ------------------------------------------------------------------------------------- samples as the tools print them

PY_SPY_RAW = """\
<module> (slow.py:15);main (slow.py:12);outer (slow.py:8);inner (slow.py:4) 18
<module> (slow.py:15);main (slow.py:12);outer (slow.py:8);inner (slow.py:5) 29
<module> (slow.py:15);main (slow.py:12);sleepy (slow.py:10) 1
 1
"""

ASYNC_PROFILER = """\
java/lang/Thread.run;com/acme/Job.run;com/acme/Store$Page.load_[j] 7
java/lang/Thread.run;com/acme/Job.run;java/util/HashMap.get 2
java/lang/Thread.run;[unknown] 1
"""

PY_SPY_DUMP = """\
Process 12521: python3 slow.py 40
Python v3.11.7 (/usr/bin/python3.11)

Thread 12521 (idle): "MainThread"
    sleepy (slow.py:10)
    main (slow.py:12)
Thread 0x7F31 (active): "worker-1"
    _read (app/io.py:77)
    run (app/pool.py:31)
"""

LINE_PROFILER = """\
Timer unit: 1e-06 s

Total time: 0.00393733 s
File: app/lp.py
Function: work at line 2

Line #      Hits         Time  Per Hit   % Time  Line Contents
==============================================================
     2                                           @profile
     3                                           def work(n):
     4         1          0.6      0.6      0.0      total = 0
     5     20001       1580.3      0.1     40.1      for i in range(n):
     6     20000       2356.3      0.1     59.8          total += i ** 2
     7         1          0.2      0.2      0.0      return total
"""

PERF_REPORT = """\
# Samples: 24  of event 'cpu-clock:ppp'
# Event count (approx.): 242424240
#
# Children      Self  Command  Shared Object         Symbol
# ........  ........  .......  ....................  ..................................
#
    45.83%     0.00%  python3  [unknown]             [.] 0x00007f7a73056240
            |
            ---0x7f7a73056240
    16.67%    16.67%  python3  libpython3.11.so.1.0  [.] _PyEval_EvalFrameDefault
     4.17%     4.17%  python3  [kernel.kallsyms]     [k] charge_memcg
"""

PERF_SCRIPT = """\
python3 12461 11463.481765:   10101010 cpu-clock:ppp:
\tffffffff816902b5 charge_memcg+0x5 ([kernel.kallsyms])
\t          1af8bb _PyObject_Malloc+0x9b (/usr/lib/libpython3.11.so.1.0)

python3 12461 11463.501943:   10101010 cpu-clock:ppp:
\t          1bb1c0 object_dealloc+0x0 (/usr/lib/libpython3.11.so.1.0)
\t          1af8bb _PyObject_Malloc+0x9b (/usr/lib/libpython3.11.so.1.0)

python3 12461 11463.512038:   10101010 cpu-clock:ppp:
\t          1bb1c0 object_dealloc+0x7 (/usr/lib/libpython3.11.so.1.0)

"""

PPROF = """\
File: server
Type: cpu
Showing nodes accounting for 4.10s, 91.11% of 4.50s total
      flat  flat%   sum%        cum   cum%
     2.50s 55.56% 55.56%      2.50s 55.56%  runtime.memmove
     900ms 20.00% 75.56%      3.60s 80.00%  example.org/shop/cart.(*Cart).Total
     0.70s 15.56% 91.11%      0.70s 15.56%  example.org/shop/cart.price /build/cart/price.go:41
"""

NODE_TICKS = """\
Statistical profiling result from v8.log, (67 ticks, 27 unaccounted, 0 excluded).

 [Shared libraries]:
   ticks  total  nonlib   name
      3    4.5%          /usr/lib/x86_64-linux-gnu/libc.so.6

 [JavaScript]:
   ticks  total  nonlib   name
     21   31.3%   32.8%  JS: *fib /srv/app/src/s.js:1:13
      1    1.5%    1.6%  LazyCompile: ~work file:///srv/app/src/w.js:20:3

 [C++]:
   ticks  total  nonlib   name
      7   10.4%   10.9%  __write@@GLIBC_2.2.5

 [Summary]:
   ticks  total  nonlib   name
     21   31.3%   32.8%  JavaScript
     16   23.9%   25.0%  C++
"""

STACKPROF = """\
==================================
  Mode: cpu(1000)
  Samples: 188 (0.00% miss rate)
  GC: 2 (1.06%)
==================================
     TOTAL    (pct)     SAMPLES    (pct)     FRAME
        91  (48.4%)          91  (48.4%)     Cart#total
       188 (100.0%)          30  (16.0%)     block in <main>
"""

RSPEC = """\
Top 2 slowest examples (1.5 seconds, 90.0% of total time):
  Cart adds the tax
    1.2 seconds ./spec/cart_spec.rb:14
  Cart is empty
    0.3 seconds ./spec/cart_spec.rb:5
"""


@pytest.mark.parametrize(
    ("text", "kind", "unit", "best"),
    [
        # function, printed path, line, own, with callees; by hand from the sample
        (PY_SPY_RAW, "collapsed stacks", "samples", ("inner", "slow.py", 5, 29, 29)),
        (ASYNC_PROFILER, "collapsed stacks", "samples", ("com.acme.Store$Page.load", "Store.java", 0, 7, 7)),
        (PY_SPY_DUMP, "py-spy dump", "threads", ("_read", "app/io.py", 77, 1, 1)),
        (LINE_PROFILER, "line_profiler", "s", ("work", "app/lp.py", 6, 2356.3e-6, 2356.3e-6)),
        (PERF_REPORT, "perf report", "%", ("_PyEval_EvalFrameDefault", "libpython3.11.so.1.0", 0, 16.67, 16.67)),
        (PERF_SCRIPT, "perf script", "samples", ("object_dealloc", "", 0, 2, 2)),
        (PPROF, "pprof", "s", ("runtime.memmove", "", 0, 2.5, 2.5)),
        (NODE_TICKS, "node --prof-process", "ticks", ("fib", "/srv/app/src/s.js", 1, 21, 21)),
        (STACKPROF, "stackprof", "samples", ("Cart#total", "", 0, 91, 91)),
        (RSPEC, "RSpec profile", "s", ("Cart adds the tax", "./spec/cart_spec.rb", 14, 1.2, 1.2)),
    ],
)
def test_each_profiler_is_recognised_and_its_dearest_place_is_first(
    text: str, kind: str, unit: str, best: tuple[str, str, int, float, float]
) -> None:
    for shown in (text, text.replace("\n", "\r\n")):
        profile = parsed(shown)
        spot = profile.hotspots[0]
        assert (profile.kind, profile.unit) == (kind, unit)
        assert (spot.function, spot.raw_path, spot.line) == best[:3]
        assert (spot.own, spot.total) == pytest.approx(best[3:])
        assert len(profile.summary.split("\n")) <= 12
        assert spot.function in profile.summary


def test_the_second_rows_are_right_too() -> None:
    ticks = parsed(NODE_TICKS).hotspots
    assert [spot.own for spot in ticks] == [21, 7, 3, 1]  # the summary's 16 and 21 are not counted again
    assert (ticks[3].function, ticks[3].raw_path, ticks[3].line) == ("work", "file:///srv/app/src/w.js", 20)
    go = {spot.function: spot for spot in parsed(PPROF).hotspots}
    assert go["example.org/shop/cart.(*Cart).Total"].own == pytest.approx(0.9)
    assert go["example.org/shop/cart.(*Cart).Total"].total == pytest.approx(3.6)
    assert go["example.org/shop/cart.price"].line == 41
    malloc = next(s for s in parsed(PERF_SCRIPT).hotspots if s.function == "_PyObject_Malloc")
    assert (malloc.own, malloc.total) == (0, 2)
    lines = parsed(LINE_PROFILER).hotspots
    assert [(s.line, s.calls, s.note) for s in lines[:2]] == [
        (6, 20000, "total += i ** 2"),
        (5, 20001, "for i in range(n):"),
    ]
    assert lines[0].share == pytest.approx(2356.3 / (0.6 + 1580.3 + 2356.3 + 0.2))


def test_hotspots_are_mapped_to_files_of_the_project() -> None:
    files = ["src/s.js", "src/w.js", "lib/fib.js"]
    mapped = profiles.resolve(parsed(NODE_TICKS), files)
    assert [spot.path for spot in mapped.hotspots] == ["src/s.js", "", "", "src/w.js"]
    assert [spot.path for spot in profiles.places(mapped)] == ["src/s.js", "src/w.js"]
    java = profiles.resolve(parsed(ASYNC_PROFILER), ["core/src/com/acme/Store.java", "core/src/com/other/Store.java"])
    assert java.hotspots[0].path == "core/src/com/acme/Store.java"


def test_speedscope_weights_are_added_along_the_stack() -> None:
    frames = [{"name": "main", "file": "/app/m.py", "line": 9}, {"name": "load", "file": "/app/db.py", "line": 3}]
    sampled = {"type": "sampled", "unit": "milliseconds", "samples": [[0], [0, 1], [0, 1]], "weights": [10, 20, 30]}
    evented = {
        "type": "evented", "unit": "milliseconds",
        "events": [{"type": "O", "frame": 0, "at": 0}, {"type": "O", "frame": 1, "at": 10},
                   {"type": "C", "frame": 1, "at": 60}, {"type": "C", "frame": 0, "at": 60}],
    }  # fmt: skip
    for one in (sampled, evented):
        text = json.dumps({"$schema": "x", "shared": {"frames": frames}, "profiles": [one]})
        profile = parsed(text)
        assert [(s.function, s.raw_path, s.line) for s in profile.hotspots] == [
            ("load", "/app/db.py", 3),
            ("main", "/app/m.py", 9),
        ]
        assert [(s.own, s.total) for s in profile.hotspots] == [
            pytest.approx((0.05, 0.05)),
            pytest.approx((0.01, 0.06)),
        ]


def test_a_v8_profile_adds_the_time_between_samples() -> None:
    frame = {"functionName": "(root)", "url": "", "lineNumber": -1}
    work = {"functionName": "work", "url": "file:///srv/app/w.js", "lineNumber": 4}
    nodes = [{"id": 1, "callFrame": frame, "children": [2]}, {"id": 2, "callFrame": work}]
    text = json.dumps(
        {"nodes": nodes, "startTime": 0, "endTime": 5000, "samples": [2, 2, 1], "timeDeltas": [1000, 2000, 500]}
    )
    spot = parsed(text).hotspots[0]
    assert (spot.function, spot.raw_path, spot.line) == ("work", "/srv/app/w.js", 5)  # V8 counts lines from 0
    assert spot.own == pytest.approx(0.003)


# ------------------------------------------------------------------------------------------------------- query plans

# Printed by PostgreSQL 15 for a join of 60,000 orders with 2,000 customers, work_mem = 64 kB.
POSTGRES = """\
                                                         QUERY PLAN
----------------------------------------------------------------------------------------------------------------------------
 Sort  (cost=1263.02..1263.10 rows=30 width=19) (actual time=6.119..6.392 rows=6000 loops=1)
   Sort Key: o.total DESC
   Sort Method: external merge  Disk: 200kB
   ->  Hash Join  (cost=36.50..1262.29 rows=30 width=19) (actual time=0.108..5.016 rows=6000 loops=1)
         Hash Cond: (o.customer_id = c.id)
         ->  Seq Scan on orders o  (cost=0.00..1225.00 rows=300 width=12) (actual time=0.007..3.030 rows=30000 loops=1)
               Filter: ((total % 2) = 1)
               Rows Removed by Filter: 30000
         ->  Hash  (cost=34.00..34.00 rows=200 width=7) (actual time=0.096..0.097 rows=200 loops=1)
               Buckets: 1024  Batches: 1  Memory Usage: 16kB
               ->  Seq Scan on customers c  (cost=0.00..34.00 rows=200 width=7) (actual time=0.003..0.084 rows=200 loops=1)
                     Filter: (city = 'c3'::text)
                     Rows Removed by Filter: 1800
 Planning Time: 0.204 ms
 Execution Time: 6.634 ms
(22 rows)
"""


def test_the_dominant_node_of_a_postgres_plan_and_its_oddities_are_named() -> None:
    profile = parsed(POSTGRES)
    assert [spot.function for spot in profile.hotspots[:3]] == ["Seq Scan on orders o", "Hash Join", "Sort"]
    # own = end time less the children's: 3.030; 5.016 - 3.030 - 0.097; 6.392 - 5.016
    assert [spot.own for spot in profile.hotspots[:3]] == pytest.approx([0.003030, 0.001889, 0.001376])
    assert profile.hotspots[0].share == pytest.approx(3.030 / 6.392)
    found = "\n".join(profile.findings)
    assert "orders o reads 60000 rows to keep 30000 (Filter: ((total % 2) = 1))" in found
    assert "customers c reads 2000 rows to keep 200" in found
    assert "Sort spills to disk (200kB)" in found
    assert "orders o: 300 rows estimated, 30000 came (100× off)" in found
    assert "Hash Join:" not in found  # it only inherits the wrong estimate
    assert "batches" not in found


def test_a_loop_multiplies_and_a_node_that_never_ran_costs_nothing() -> None:
    plan = """\
Nested Loop  (cost=0.29..900.00 rows=10 width=8) (actual time=0.010..50.000 rows=10 loops=1)
  ->  Seq Scan on a  (cost=0.00..10.00 rows=10 width=4) (actual time=0.005..1.000 rows=10 loops=1)
  ->  Index Scan using b_i on b  (cost=0.29..8.00 rows=1 width=4) (actual time=0.010..4.000 rows=1 loops=10)
  ->  Seq Scan on c  (cost=0.00..10.00 rows=10 width=4) (never executed)
"""
    spots = {s.function: s for s in parsed(plan).hotspots}
    assert spots["Index Scan using b_i on b"].own == pytest.approx(0.040)
    assert spots["Nested Loop"].own == pytest.approx(0.009)
    assert "Seq Scan on c" not in spots


def test_a_plan_that_was_not_run_counts_estimated_costs() -> None:
    plan = "Seq Scan on orders  (cost=0.00..1075.00 rows=30 width=12)\n  Filter: (customer_id = 5)\n"
    profile = parsed(plan)
    assert (profile.unit, profile.hotspots[0].own) == ("cost", 1075)
    assert profile.findings == ("Seq Scan on orders reads the whole table (Filter: (customer_id = 5))",)


def test_a_postgres_plan_as_json_is_read_also_as_psql_prints_it() -> None:
    scan = {"Node Type": "Seq Scan", "Relation Name": "orders", "Total Cost": 1075.0, "Plan Rows": 30, "Actual Total Time": 1.969,
            "Actual Rows": 30, "Actual Loops": 1, "Filter": "(customer_id = 5)", "Rows Removed by Filter": 59970}  # fmt: skip
    plan = [{"Plan": {"Node Type": "Aggregate", "Total Cost": 1075.09, "Plan Rows": 1, "Actual Total Time": 1.974,
                      "Actual Rows": 1, "Actual Loops": 1, "Plans": [scan]}, "Execution Time": 1.983}]  # fmt: skip
    plain = json.dumps(plan, indent=2)
    decorated = " QUERY PLAN \n-----\n " + plain.replace("\n", "+\n ") + "\n(1 row)\n"
    for text in (plain, decorated):
        profile = parsed(text)
        assert profile.hotspots[0].function == "Seq Scan on orders"
        assert profile.hotspots[0].own == pytest.approx(0.001969)
        assert profile.findings[0] == "Seq Scan on orders reads 60000 rows to keep 30 (Filter: (customer_id = 5))"


MYSQL = """\
+----+-------------+-------+------------+--------+---------------+---------+---------+--------+--------+----------+-----------------------------+
| id | select_type | table | partitions | type   | possible_keys | key     | key_len | ref    | rows   | filtered | Extra                       |
+----+-------------+-------+------------+--------+---------------+---------+---------+--------+--------+----------+-----------------------------+
|  1 | SIMPLE      | o     | NULL       | ALL    | NULL          | NULL    | NULL    | NULL   | 994821 |    10.00 | Using where; Using filesort |
|  1 | SIMPLE      | c     | NULL       | eq_ref | PRIMARY       | PRIMARY | 4       | o.c_id |      1 |   100.00 | NULL                        |
+----+-------------+-------+------------+--------+---------------+---------+---------+--------+--------+----------+-----------------------------+
"""


def test_mysql_tables_tell_what_is_read_whole() -> None:
    vertical = "*** 1. row ***\n           id: 1\n  select_type: SIMPLE\n        table: o\n         type: ALL\n          key: NULL\n         rows: 994821\n        Extra: Using filesort\n"
    for text in (MYSQL, vertical):
        profile = parsed(text)
        assert profile.hotspots[0].function == "SIMPLE o"
        assert profile.hotspots[0].own == 994821
        assert profile.findings[0] == "o is read whole: 994821 rows, no key used"
        assert "o: Using filesort" in profile.findings


def test_mysqls_tree_is_read_like_a_plan() -> None:
    tree = """\
-> Nested loop inner join  (cost=4.95 rows=9) (actual time=0.1..20.0 rows=9 loops=1)
    -> Table scan on o  (cost=1.15 rows=9) (actual time=0.05..15.0 rows=5000 loops=1)
    -> Single-row index lookup on c using PRIMARY (id=o.c_id)  (cost=0.31 rows=1) (actual time=0.001..0.0005 rows=1 loops=5000)
"""
    profile = parsed(tree)
    assert profile.kind == "MySQL plan"
    assert profile.hotspots[0].function == "Table scan on o"
    assert profile.hotspots[0].own == pytest.approx(0.015)
    assert profile.findings[0] == "Table scan on o reads 5000 rows"


# ------------------------------------------------------------------------------------- what is no profile, and hostile


def test_source_documentation_and_data_are_no_profiles() -> None:
    # These two hold profiles to read.
    own = {Path(__file__).resolve(), Path(__file__).with_name("test_modechecks.py").resolve()}
    texts = [*ROOT.glob("orchestra_mcp/**/*.py"), *ROOT.glob("tests/*.py"), *ROOT.glob("*.md"), *ROOT.glob("*.toml")]
    for path in texts:
        if path.resolve() not in own:
            assert profiles.parse(path.read_text("utf-8")) is None, path.name


@pytest.mark.parametrize(
    "text",
    [
        "", "{", '{"nodes": 5}', '{"nodes": [], "samples": []}', '{"shared": {"frames": [1]}, "profiles": [2]}', '{"$schema": 1}',
        "for (i = 0; i < n; i++) total += 2\nfor (j = 0; j < n; j++) total += 3\nreturn; 4\n",
        "name;age;rank 1\nbob;5;rank 2\n", "QUERY PLAN\n", "ncalls tottime", "the plan (cost=low rows=many width=0)",
        '[{"Plan": {"Node Type": 1, "Plans": 7}}]', '{"nodes": [{"id": 1}], "samples": [1]}',
        "   ncalls  tottime  percall  cumtime  percall filename:lineno(function)\n  what 1 2 3 4 5\n",
    ],
)  # fmt: skip
def test_half_a_profile_is_none_and_breaks_nothing(text: str) -> None:
    assert profiles.parse(text) is None


@pytest.mark.parametrize(
    "piece", ["a", "(", "\n", " ", "1 ", "-> (cost=1..2 rows=", "a;", "|", "Thread 1 (", "{", '{"nodes":[', "\t1.0%"]
)
@pytest.mark.parametrize(
    "head", ["", *(name for name in (LINE_PROFILER, PERF_REPORT, PPROF, NODE_TICKS, POSTGRES, PERF_SCRIPT))]
)
def test_hostile_text_takes_linear_time(piece: str, head: str) -> None:
    assert is_linear(profiles.parse, piece, head)


@given(st.text(alphabet='ab;():|->=.% \n0123456789{}[]",cost rows', max_size=300))
def test_no_text_makes_the_parser_raise(text: str) -> None:
    for dialect in DIALECTS:
        profiles.parse(text)
        try:
            dialect.read(text)
        except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError, OverflowError):
            continue


def test_a_binary_profile_is_answered_with_the_command_that_prints_it(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("print(1)\n", "utf-8")
    subprocess.run(
        [sys.executable, "-m", "cProfile", "-o", "out.prof", "slow.py"], cwd=tmp_path, capture_output=True, check=True
    )
    advice = profiles.how_to_print((tmp_path / "out.prof").read_bytes()[:16], "out.prof")
    assert "cProfile" in advice
    assert "pstats.Stats('out.prof')" in advice
    assert profiles.how_to_print(b"PERFILE2...", "perf.data").startswith("perf.data is perf data")
    assert profiles.how_to_print(b"import os\n", "x.py") == ""


# ------------------------------------------------------------------------------------------------------------- logs


def noisy() -> list[str]:
    """400 lines: a first error, one kind of error 50 times, a harmless `0 errors`, and a burst near the end."""
    lines = [
        f"2026-01-02T03:04:{n % 60:02d}.{n:03d}Z INFO request {n} served in {n % 7} ms, 0 errors" for n in range(400)
    ]
    lines[20] = "2026-01-02T03:04:20Z ERROR cannot load plugin billing: file missing"
    for n in range(100, 300, 4):
        lines[n] = f"2026-01-02T03:05:00Z WARN retrying job 8f14e45fceea167a5a36dedd4bea254{n % 10} after {n} ms"
    lines[370] = "2026-01-02T03:06:10Z ERROR pool exhausted: 20 of 20 connections in use"
    lines[371] = "Traceback (most recent call last):"
    lines[372] = '  File "app/db.py", line 41, in acquire'
    lines[373] = "    raise PoolTimeout(self.size)"
    lines[374] = "app.db.PoolTimeoutError: 20"
    return lines


def test_a_long_log_keeps_its_burst_its_first_error_and_one_of_each_kind() -> None:
    lines = noisy()
    short = logs.compact("\n".join(lines), 500)
    kept = short.split("\n")
    assert estimate_tokens(short) <= 500
    for n in (20, 370, 371, 372, 373, 374):
        assert lines[n] in kept
    assert sum("retrying job" in line for line in kept) >= 1
    assert "more like the line above …" in short
    originals = [line for line in kept if not line.startswith("… ")]
    assert all(line in lines for line in originals)
    places = [lines.index(line) for line in originals]
    assert places == sorted(places)
    gaps = sum(int(line.split()[1]) for line in kept if line.endswith("left out …"))
    assert gaps + len(originals) == len(lines)


def test_the_count_of_repetitions_is_that_of_the_lines_not_shown() -> None:
    filler = [f"step {n} done" for n in range(300)]
    lines = [*filler[:100], *(f"ERROR timeout after {n} ms" for n in range(30)), *filler[100:]]
    short = logs.compact("\n".join(lines), 120).split("\n")
    shown = sum(line.startswith("ERROR timeout") for line in short)
    said = sum(int(line.split()[1]) for line in short if line.endswith("more like the line above …"))
    assert shown >= 1
    assert shown + said == 30


@pytest.mark.parametrize(
    ("line", "grade"),
    [
        ("java.lang.IllegalStateException: closed", logs.GRAVE), ("E   assert 1 == 2", logs.GRAVE), ("--- FAIL: TestX (0.00s)", logs.GRAVE),
        ("[ERROR] disk full", logs.ERROR), ("level=error msg=boom", logs.ERROR), ("connection refused", logs.ERROR),
        ("WARN slow query", logs.WARNING), ("2026-01-01 INFO errors: 0", 0), ("12 passed, 0 failed, no errors", 0),
        ("2026-01-01 12:00:00 INFO started error reporter", 0), ('{"level":"info","msg":"retry failed"}', 0), ("err=nil", 0),
        ("listening on :8080", 0), ("test_invalid_is_an_error ... ok", 0), ("ERROR: AddressSanitizer: heap-use-after-free", logs.GRAVE), ("DEBUG caught ValueError: x", logs.WARNING),
    ],
)  # fmt: skip
def test_lines_are_graded_by_what_they_say(line: str, grade: int) -> None:
    assert logs.severity(line) == grade


def test_what_varies_is_masked() -> None:
    one = logs.template("job 8f14e45f-ceea-467a-9a36-dedd4bea2543 took 17 ms at 0x7fff")
    assert one == logs.template("job c9f0f895-fb98-4b91-99d7-a1e2b3c4d5e6 took 8 ms at 0x1a")
    assert one != logs.template("job 8f14e45f-ceea-467a-9a36-dedd4bea2543 failed at 0x7fff")


def test_a_log_without_alarms_keeps_its_end() -> None:
    lines = [f"line {n} of a quiet log" for n in range(500)]
    short = logs.compact("\n".join(lines), 100)
    assert lines[-1] in short.split("\n")
    assert estimate_tokens(short) <= 100


def test_a_log_that_fits_is_not_touched() -> None:
    assert logs.compact("a\n\nERROR b\n", 50) == "a\n\nERROR b\n"


@pytest.mark.parametrize("piece", ["a", "(", "\n", " ", "error ", "ERROR x\n", "0 ", "deadbeef", "x=\n", "INFO "])
def test_hostile_logs_take_linear_time(piece: str) -> None:
    assert is_linear(lambda text: logs.compact(text, 300), piece)
    assert estimate_tokens(logs.compact(piece * (100_000 // len(piece)), 300)) <= 300


@given(
    st.lists(st.sampled_from(["ERROR a 1", "ERROR a 2", "INFO b", "", "  at x", "Traceback", "done"]), max_size=60),
    st.integers(30, 200),
)
def test_a_compact_log_never_exceeds_its_limit_nor_invents_lines(lines: list[str], limit: int) -> None:
    short = logs.compact("\n".join(lines), limit)
    assert estimate_tokens(short) <= limit
    assert all(line in lines or line.startswith("… ") for line in short.split("\n") if line)
