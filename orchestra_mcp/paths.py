"""What kind of file a path stands for, by the conventions of its place and name. Pure; one table for the whole house."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Kind = Literal["code", "test", "docs", "example", "foreign", "data"]
"""`foreign` is vendored, generated or built; `data` is everything that is not a program and not prose."""

# The first row that matches decides. Add here.
_KINDS: tuple[tuple[Kind, str], ...] = (
    ("foreign", r"(^|/)(vendor|vendored|_vendor|third_party|third-party|thirdparty|node_modules|bower_components|externals?|extern|dist|Pods)/"),
    ("foreign", r"\.min\.\w+$|_pb2(_grpc)?\.pyi?$|\.pb\.(go|cc|h)$|[._-]generated\.|(^|/)zz_generated|\.designer\.cs$|\.g\.(dart|cs)$|\.bundle\.js$"),
    ("test", r"(^|/)(?i:tests?|testing|__tests__|specs?|testdata|unittests?|test[-_]\w+|e2e|cypress|fixtures|__mocks__|__snapshots__)/"),
    ("test", r"(^|/)([^/]*[._-][Tt]ests?|[^/]*[a-z]Tests?)/"),
    ("test", r"(^|/)(test_[^/]*|tests?\.\w+|conftest\.py|[^/]*[._-](tests?|unittest|spec|specs|e2e)\.\w+)$"),
    ("test", r"(^|/)([^/]*(Tests?|TestCase|Spec|IT)\.(java|kt|kts|cs|scala|swift|php|groovy|m|mm)|Test[A-Z][^/]*\.(java|kt))$"),
    ("docs", r"(^|/)(docs?|documentation|website|man|wiki)/|\.(md|mdx|rst|adoc|txt|tex|po|pot)$"),
    ("docs", r"(^|/)(CHANGES|CHANGELOG|HISTORY|NEWS|README|AUTHORS|LICEN[CS]E|NOTICE|RELEASE|CONTRIBUTING)[^/]*$"),
    ("example", r"(^|/)(?i:examples?|samples?|demos?|tutorials?|benchmarks?|bench|benches|asv_bench|playground|cookbook|quickstart)/|\.stories\.\w+$"),
    ("data", r"\.(json5?|jsonl?|ya?ml|toml|ini|cfg|conf|properties|xml|csv|tsv|html?|css|s[ac]ss|less|svg|lock|ipynb|plist|xlf|arb|env|editorconfig)$"),
    ("data", r"(^|/)(\.[^/]+|Makefile|Dockerfile|[A-Z]+)$"),
)  # fmt: skip
_COMPILED = tuple((kind, re.compile(pattern, re.IGNORECASE if kind == "docs" else 0)) for kind, pattern in _KINDS)


@lru_cache(maxsize=100_000)
def kind_of(path: str) -> Kind:
    """The kind of a file, from its path relative to the project (forward slashes)."""
    return next((kind for kind, pattern in _COMPILED if pattern.search(path)), "code")


def is_test(path: str) -> bool:
    """True for paths that by convention hold tests or what only tests use."""
    return kind_of(path) == "test"


def aside(path: str) -> bool:
    """True for everything but the project's own code: it repeats the words of what it is about."""
    return kind_of(path) != "code"
