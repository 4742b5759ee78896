"""How developers say words that no English dictionary has, or says otherwise. Data.

Phones are those of the CMU dictionary (http://www.speech.cs.cmu.edu/cgi-bin/cmudict), without stress. Several ways of
saying a word are separated by `;`. A word in lower case stands for its own pronunciation in the dictionary. Add here.
"""

from __future__ import annotations

from typing import Final

LETTERS: Final = {
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY", "h": "EY CH", "i": "AY",
    "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N", "o": "OW", "p": "P IY", "q": "K Y UW", "r": "AA R",
    "s": "EH S", "t": "T IY", "u": "Y UW", "v": "V IY", "w": "D AH B AH L Y UW", "x": "EH K S", "y": "W AY", "z": "Z IY",
}  # fmt: skip
"""Names of letters."""

DIGITS: Final = {
    "0": "zero", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven",
    "8": "eight", "9": "nine",
}  # fmt: skip

WORDS: Final[dict[str, str]] = {
    "addr": "address", "admin": "AE D M IH N", "ansible": "AE N S AH B AH L", "apache": "AH P AE CH IY",
    "api": "EY P IY AY", "app": "AE P", "arg": "AA R G", "args": "AA R G Z", "ascii": "AE S K IY",
    "async": "EY S IH NG K", "asyncio": "EY S IH NG K AY OW", "attr": "AE T ER;attribute", "attrs": "AE T ER Z",
    "auth": "AO TH;AA TH", "authn": "AO TH EH N", "authz": "AO TH Z IY", "aws": "EY D AH B AH L Y UW EH S",
    "azure": "AE ZH ER", "backend": "B AE K EH N D", "backoff": "B AE K AO F", "bash": "B AE SH", "bool": "B UW L",
    "boolean": "B UW L IY AH N", "btn": "button", "buf": "B AH F;buffer", "cfg": "config", "changelog": "CH EY N JH L AO G",
    "char": "CH AA R;K EH R", "chmod": "CH M AA D;CH EY N JH M OW D", "ci": "S IY AY", "cli": "S IY EH L AY",
    "cmd": "command", "codec": "K OW D EH K", "concat": "K AH N K AE T", "config": "K AH N F IH G",
    "configs": "K AH N F IH G Z", "const": "K AA N S T", "cors": "K AO R Z", "cpp": "S IY P L AH S P L AH S", "cpu": "S IY P IY Y UW",
    "css": "S IY EH S EH S", "csv": "S IY EH S V IY", "ctx": "K AA N T EH K S T", "daemon": "D IY M AH N",
    "dataclass": "D EY T AH K L AE S", "datetime": "D EY T T AY M", "db": "D IY B IY", "deadlock": "D EH D L AA K",
    "debounce": "D IY B AW N S", "debug": "D IY B AH G", "dedupe": "D IY D UW P", "deque": "D EH K", "dev": "D EH V",
    "diff": "D IH F", "diffs": "D IH F S", "dir": "D IH R;directory", "django": "JH AE NG G OW", "dns": "D IY EH N EH S",
    "docker": "D AA K ER", "dockerfile": "D AA K ER F AY L", "docs": "D AA K S", "dom": "D AA M", "dict": "D IH K T",
    "dunder": "D AH N D ER", "elif": "EH L IH F", "endpoint": "EH N D P OY N T", "enum": "IY N AH M;IY N UW M",
    "enums": "IY N AH M Z", "env": "EH N V", "err": "EH R;error", "eslint": "IY EH S L IH N T", "eval": "IY V AE L",
    "exec": "EH G Z EH K", "faq": "F AE K", "fastapi": "F AE S T EY P IY AY", "fetch": "F EH CH", "ffi": "EH F EH F AY",
    "filename": "F AY L N EY M", "fixme": "F IH K S M IY", "flaky": "F L EY K IY", "fmt": "format", "frontend": "F R AH N T EH N D",
    "func": "F AH NG K", "gcc": "JH IY S IY S IY", "getter": "G EH T ER", "git": "G IH T", "github": "G IH T HH AH B",
    "gitlab": "G IH T L AE B", "golang": "G OW L AE NG", "gpu": "JH IY P IY Y UW", "graphql": "G R AE F K Y UW EH L",
    "grpc": "JH IY AA R P IY S IY", "gui": "G UW IY", "gzip": "JH IY Z IH P", "hashmap": "HH AE SH M AE P", "hasher": "HH AE SH ER",
    "html": "EY CH T IY EH M EH L", "http": "EY CH T IY T IY P IY", "https": "EY CH T IY T IY P IY EH S", "id": "AY D IY",
    "ide": "AY D IY IY", "idx": "index;AY D IY EH K S", "ids": "AY D IY Z", "impl": "IH M P L;implementation", "init": "IH N IH T",
    "inline": "IH N L AY N", "int": "IH N T", "io": "AY OW", "iter": "IH T ER", "java": "JH AA V AH", "javascript": "JH AA V AH S K R IH P T",
    "jenkins": "JH EH NG K IH N Z", "jit": "JH IH T", "jpeg": "JH EY P EH G", "js": "JH EY EH S", "json": "JH EY S AH N;JH EY S AA N",
    "jwt": "JH EY D AH B AH L Y UW T IY;JH AA T", "kafka": "K AA F K AH", "kubectl": "K Y UW B K AH N T R OW L;K Y UW B S IY T IY EH L",
    "kubernetes": "K UW B ER N EH T IY Z", "kwargs": "K W AA R G Z;K EY W AA R G Z", "lambda": "L AE M D AH", "len": "L EH N;length",
    "linter": "L IH N T ER", "linux": "L IH N AH K S", "localhost": "L OW K AH L HH OW S T", "login": "L AO G IH N",
    "logout": "L AO G AW T", "lru": "EH L AA R Y UW", "lstm": "EH L EH S T IY EH M", "main": "M EY N", "makefile": "M EY K F AY L",
    "matplotlib": "M AE T P L AA T L IH B", "max": "M AE K S", "md": "EH M D IY", "mem": "M EH M", "metadata": "M EH T AH D EY T AH",
    "microservices": "M AY K R OW S ER V AH S AH Z", "middleware": "M IH D AH L W EH R", "min": "M IH N", "misc": "M IH S K",
    "mongo": "M AO NG G OW", "monorepo": "M AA N OW R IY P OW", "msg": "message", "mutex": "M Y UW T EH K S", "mypy": "M AY P AY",
    "mysql": "M AY S IY K W AH L;M AY EH S K Y UW EH L", "namespace": "N EY M S P EY S", "nginx": "EH N JH AH N EH K S",
    "node": "N OW D", "nodejs": "N OW D JH EY EH S", "noqa": "N OW K Y UW EY", "npm": "EH N P IY EH M", "null": "N AH L",
    "num": "N AH M", "numpy": "N AH M P AY", "oauth": "OW AO TH", "obj": "object", "opt": "AA P T", "orm": "OW AA R EH M",
    "os": "OW EH S", "pandas": "P AE N D AH Z", "param": "P EH R AE M", "params": "P EH R AE M Z", "parser": "P AA R S ER",
    "pdf": "P IY D IY EH F", "perf": "P ER F", "php": "P IY EY CH P IY", "pid": "P IH D;P IY AY D IY", "pip": "P IH P", "pkg": "package",
    "png": "P IH NG;P IY EH N JH IY", "postgres": "P OW S T G R EH S", "pr": "P IY AA R", "pre": "P R IY", "prev": "previous",
    "prod": "P R AA D", "protobuf": "P R OW T OW B AH F", "ptr": "pointer", "py": "P AY;P IY W AY", "pydantic": "P AY D AE N T IH K",
    "pytest": "P AY T EH S T", "qa": "K Y UW EY", "readme": "R IY D M IY", "redis": "R EH D IH S", "redux": "R IY D AH K S",
    "refactor": "R IY F AE K T ER", "regex": "R EH G EH K S;R EH JH EH K S", "regexp": "R EH G EH K S P", "repo": "R IY P OW",
    "repos": "R IY P OW Z", "req": "R EH K;request", "res": "R EH Z;response", "resp": "response", "rpc": "AA R P IY S IY",
    "rs": "AA R EH S", "ruff": "R AH F", "runtime": "R AH N T AY M", "sdk": "EH S D IY K EY", "segfault": "S EH G F AO L T",
    "sh": "SH EH L;EH S EY CH", "sql": "S IY K W AH L;EH S K Y UW EH L", "sqlite": "S IY K W AH L AY T;EH S K Y UW EH L AY T",
    "src": "S AO R S;S ER K", "ssh": "EH S EH S EY CH", "ssl": "EH S EH S EH L", "stderr": "S T AE N D ER D EH R ER",
    "stdin": "S T AE N D ER D IH N", "stdout": "S T AE N D ER D AW T", "str": "string", "struct": "S T R AH K T",
    "subprocess": "S AH B P R AA S EH S", "substr": "S AH B S T R IH NG", "svc": "service", "svelte": "S V EH L T", "svg": "EH S V IY JH IY",
    "sync": "S IH NG K", "sys": "S IH S", "tcp": "T IY S IY P IY", "temp": "T EH M P", "terraform": "T EH R AH F AO R M",
    "timeout": "T AY M AW T", "timestamp": "T AY M S T AE M P", "tls": "T IY EH L EH S", "tmp": "T EH M P", "todo": "T UW D UW",
    "toml": "T AA M AH L", "ts": "T IY EH S", "tsx": "T IY EH S EH K S", "tuple": "T UW P AH L;T AH P AH L", "txt": "text",
    "typescript": "T AY P S K R IH P T", "ui": "Y UW AY", "uid": "Y UW AY D IY", "unicode": "Y UW N IH K OW D", "uri": "Y UW AA R AY",
    "url": "Y UW AA R EH L", "urls": "Y UW AA R EH L Z", "usr": "user", "utf": "Y UW T IY EH F", "util": "Y UW T IH L",
    "utils": "Y UW T IH L Z", "uuid": "Y UW Y UW AY D IY", "val": "V AE L", "var": "V AA R", "vars": "V AA R Z", "venv": "V IY EH N V",
    "vue": "V Y UW", "wasm": "W AA Z AH M", "webhook": "W EH B HH UH K", "webhooks": "W EH B HH UH K S", "websocket": "W EH B S AA K AH T",
    "websockets": "W EH B S AA K AH T S", "xml": "EH K S EH M EH L", "yaml": "Y AE M AH L", "yml": "Y AE M AH L", "zip": "Z IH P",
    "refactored": "R IY F AE K T ER D", "traceback": "T R EY S B AE K", "timeouts": "T AY M AW T S", "cached": "K AE SH T",
    "deadlocked": "D EH D L AA K T", "monolith": "M AA N AH L IH TH", "summarize": "S AH M ER AY Z", "compiler": "K AH M P AY L ER",
}  # fmt: skip
"""What a part of a name sounds like."""

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
