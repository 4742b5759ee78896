"""What developers say that no English dictionary has, and what engines write for it. Data; add here."""

from __future__ import annotations

from typing import Final

WORDS: Final = frozenset(
    """
    addr admin ansible apache api app arg args ascii async asyncio attr attrs auth authn authz aws azure backend backoff bash bool
    boolean btn buf cached cfg changelog char chmod ci cli cmd codec compiler concat config configs const cors cpp cpu css csv ctx daemon
    dataclass datetime db deadlock deadlocked debounce debug dedupe deque dev dict diff diffs dir django dns docker dockerfile docs dom
    dunder elif endpoint enum enums env err eslint eval exec faq fastapi fetch ffi filename fixme flaky fmt frontend func gcc getter git
    github gitlab golang gpu graphql grpc gui gzip hasher hashmap html http https id ide ids idx impl init inline int io iter java
    javascript jenkins jit jpeg js json jwt kafka kubectl kubernetes kwargs lambda len linter linux localhost login logout lru lstm main
    makefile matplotlib max md mem metadata microservices middleware min misc mongo monolith monorepo msg mutex mypy mysql namespace
    nginx node nodejs noqa npm null num numpy oauth obj opt orm os pandas param params parser pdf perf php pid pip pkg png postgres pr
    pre prev prod protobuf ptr py pydantic pytest qa readme redis redux refactor refactored regex regexp repo repos req res resp rpc rs
    ruff runtime sdk segfault sh sql sqlite src ssh ssl stderr stdin stdout str struct subprocess substr summarize svc svelte svg sync
    sys tcp temp terraform timeout timeouts timestamp tls tmp todo toml traceback ts tsx tuple txt typescript ui uid unicode uri url urls
    usr utf util utils uuid val var vars venv vue wasm webhook webhooks websocket websockets xml yaml yml zip
""".split()
)
"""Words of their own, as parts of names; no repair takes one of them for English."""

SAID: Final = tuple(
    " ".join(said.split())
    for said in """
    algorithm, architecture, asyncio, branch, build, builds, cache, callback, class, client, code review, commit, commits, component,
    composition, container, crash, crashing, data class, database, dead code, dependencies, dependency, dependency injection, deploy,
    deployment, django, docker image, easier to test, endpoint, error, error handling, error message, exception, exceptions, failing,
    fast enough, feature flags, flask, framework, function, functions, generics, git merge, git rebase, graphql, handler, hang,
    hanging, index, inheritance, integration tests, interface, key error, last commit, leak memory, leaking memory, log in,
    loop forever, memory leak, merge request, method, middleware, migrate, migration, mocks, module, more readable,
    more robust, my changes, not compile, not compiling, not working, null pointer, off by one, pipeline, process, processes,
    pull request, python, queries, query, queue, race, race condition, raise an exception, readable, ready to merge, rebase, refactor,
    regex, rename, request, requests, response, return none, return null, rollback, schema, script, server, stack trace,
    test failure, test suite, the branch, these changes, this branch, this commit, thread, thread safe, threads, time out, timing out,
    token, tokens, type checker, type error, type hints, undefined, unit tests, use so much memory, websockets, workers
    """.split(",")
)
"""Words and phrases that are likelier in their questions than elsewhere, separated by commas."""

HEARD: Final[dict[str, tuple[str, ...]]] = {
    "json": ("jason", "jay son", "j son"), "async": ("a sink", "a sync", "asink", "asynch", "eight sink", "ace ink"),
    "pytest": ("pie test",), "cache": ("cash",), "caches": ("cashes",), "cached": ("cashed",), "sql": ("sequel", "s q l"),
    "sqlite": ("sequel light", "sequel lite", "s q lite", "s q light"), "mysql": ("my sequel",), "py": ("pie", "pi", "pee why", "p y"),
    "kubectl": ("cube control", "cube cuttle", "cube c t l", "kube control", "cube ctl"), "kubernetes": ("cooper netties", "kuber netes"),
    "yml": ("yaml", "yammel", "yamel", "y m l"), "yaml": ("yml", "yammel", "yamel", "y a m l"), "ts": ("tee ess", "t s"), "js": ("jay ess", "j s"),
    "md": ("em dee", "m d"), "init": ("innit",), "enum": ("e num", "in um"), "regex": ("reg ex", "rejects", "reg x"),
    "tuple": ("two pull", "toople"), "numpy": ("num pie", "num pi"), "mypy": ("my pie", "my pi"), "auth": ("off", "oath", "awth"),
    "oauth": ("o auth", "oh auth", "o off", "oh off"), "args": ("arguments", "arcs"), "kwargs": ("quarks", "k w args", "keyword args"),
    "char": ("car", "care"), "str": ("string", "s t r"), "int": ("integer", "i n t"), "config": ("con fig",), "cfg": ("config", "c f g"), "db": ("database", "d b"),
    "ctx": ("context", "c t x"), "msg": ("message",), "req": ("request", "wreck"), "res": ("response",), "resp": ("response",), "util": ("you till",),
    "utils": ("you tills", "utilities"), "env": ("environment", "n v"), "dir": ("directory",), "idx": ("index",), "num": ("number",), "url": ("u r l", "earl"),
    "id": ("i d", "eye dee"), "ids": ("i ds", "eye dees"), "redis": ("read is", "reddis"), "nginx": ("engine x", "engine ex"), "queue": ("cue", "q"), "tsx": ("t s x",),
    "src": ("source",), "repo": ("reap oh",), "deque": ("deck", "d q"), "wasm": ("web assembly", "was um"), "mutex": ("mute x", "mu tex"), "toml": ("tom l",),
    "grpc": ("g r p c",), "graphql": ("graph q l",), "jwt": ("j w t", "jot"), "tmp": ("temp", "temporary"), "pkg": ("package",), "func": ("function", "funk"),
    "param": ("parameter",), "params": ("parameters", "per rams"), "impl": ("implementation",), "attr": ("attribute",), "obj": ("object",), "err": ("error",), "cmd": ("command",),
    "val": ("value",), "var": ("variable",), "len": ("length",), "prev": ("previous",), "cpp": ("c plus plus",), "cs": ("c sharp",), "rs": ("r s",), "rb": ("r b",), "svc": ("service",),
}  # fmt: skip
"""What a part of a name is written as by an engine that does not know it. Add here."""
