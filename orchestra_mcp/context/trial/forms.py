"""When two programs are the same text but for comments, layout and the names of locals. Pure.

Python by its own syntax tree: docstrings and annotations are dropped, arguments and locals are numbered in the order in
which they appear. Other languages by the leaves of their tree-sitter tree, whose names are kept.
"""

from __future__ import annotations

import ast
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from orchestra_mcp.context.code.languages import LANGUAGES
from orchestra_mcp.context.code.parsing import parse

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_CODE = 400_000
ALIASES = {"js": "javascript", "jsx": "javascript", "node": "javascript", "ts": "typescript", "golang": "go", "rs": "rust",
           "c++": "cpp", "c#": "c_sharp", "csharp": "c_sharp", "cs": "c_sharp", "rb": "ruby", "sh": "bash",
           "shell": "bash", "kt": "kotlin", "python3": "python", "py": "python"}  # fmt: skip
"""What models call a language → its row in `languages`. Add here."""

_WARNINGS = threading.Lock()


def normal_form(code: str, language: str) -> str:
    """The code without comments, layout and, for Python, names of locals; empty when it does not parse."""
    name = ALIASES.get(language.strip().lower(), language.strip().lower())
    if len(code) > MAX_CODE:
        return ""
    return _python(code) if name == "python" else _leaves(code, name)


def python_fault(code: str) -> int:
    """The line of the first syntax error that this Python finds in the code, 0 when there is none."""
    try:
        _tree(code)
    except SyntaxError as error:
        return error.lineno or 1
    except (ValueError, RecursionError, MemoryError, OverflowError):
        return 1
    return 0


def _tree(code: str) -> ast.Module:
    with _WARNINGS, warnings.catch_warnings():  # the filters are global: one thread at a time
        warnings.simplefilter("ignore")  # odd escapes in strings
        return ast.parse(code)


def _python(code: str) -> str:
    try:
        return ast.unparse(ast.fix_missing_locations(_Normal().visit(_tree(code))))
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return ""


_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


class _Normal(ast.NodeTransformer):
    """Renames what a function binds; a scope maps a name to its new one, or to itself where it must stay."""

    def __init__(self) -> None:
        self._scopes: list[dict[str, str]] = []
        self._count = 0

    def _new(self, name: str) -> str:
        for scope in reversed(self._scopes):
            if name in scope:
                if not scope[name]:  # numbered when it is first seen
                    scope[name] = f"v{self._count}_"
                    self._count += 1
                return scope[name]
        return name

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._new(node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(arg=self._new(node.arg))

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        node.name = node.name and self._new(node.name)
        return self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> ast.AST:
        node.name = node.name and self._new(node.name)
        return self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> ast.AST:
        node.name = node.name and self._new(node.name)
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        node.names = [self._new(name) for name in node.names]
        return node

    def visit_alias(self, node: ast.alias) -> ast.AST:
        bound = node.asname or node.name.partition(".")[0]
        if (new := self._new(bound)) != bound:
            node.asname = new
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            # A dataclass's field is no mere annotation.
            return self.generic_visit(node) if isinstance(node.target, ast.Name) and not self._scopes else None
        return self.generic_visit(ast.Assign(targets=[node.target], value=node.value))

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self._new(node.name)
        node.decorator_list = [self.visit(one) for one in node.decorator_list]
        node.bases = [self.visit(one) for one in node.bases]
        node.keywords = [self.visit(one) for one in node.keywords]
        fields = [one for one in node.body if isinstance(one, ast.AnnAssign)]
        for one in fields:  # they stay: a dataclass is made of them
            one.value = one.value and self.visit(one.value)
        self._scopes.append({name: name for name in _bound(node.body)})
        node.body = _bodied([one if one in fields else self.visit(one) for one in _undocumented(node.body)])
        self._scopes.pop()
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        outermost, count = not any("" in scope.values() or _renames(scope) for scope in self._scopes), self._count
        node.name = self._new(node.name)
        node.decorator_list = [self.visit(one) for one in node.decorator_list]
        node.returns, node.type_comment = None, None
        self._defaults(node.args)
        if outermost:
            self._count = 0
        self._scopes.append(_locals(node.args, node.body))
        self._arguments(node.args)
        made = [self.visit(one) for one in _undocumented(node.body)]
        node.body = _bodied([one for one in made if one is not None])
        self._scopes.pop()
        if outermost:
            self._count = count
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self._defaults(node.args)
        self._scopes.append(_locals(node.args, [ast.Expr(node.body)]))
        self._arguments(node.args)
        node.body = self.visit(node.body)
        self._scopes.pop()
        return node

    def _defaults(self, arguments: ast.arguments) -> None:
        arguments.defaults = [self.visit(one) for one in arguments.defaults]
        arguments.kw_defaults = [one and self.visit(one) for one in arguments.kw_defaults]

    def _arguments(self, arguments: ast.arguments) -> None:
        for group in (arguments.posonlyargs, arguments.args, arguments.kwonlyargs):
            group[:] = [self.visit(one) for one in group]
        arguments.vararg = arguments.vararg and self.visit(arguments.vararg)
        arguments.kwarg = arguments.kwarg and self.visit(arguments.kwarg)

    def visit_ListComp(self, node: ast.ListComp) -> ast.AST:
        return self._comprehension(node, node.generators)

    def visit_SetComp(self, node: ast.SetComp) -> ast.AST:
        return self._comprehension(node, node.generators)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.AST:
        return self._comprehension(node, node.generators)

    def visit_DictComp(self, node: ast.DictComp) -> ast.AST:
        return self._comprehension(node, node.generators)

    def _comprehension(self, node: ast.AST, parts: Sequence[ast.comprehension]) -> ast.AST:
        names = [one.id for part in parts for one in ast.walk(part.target) if isinstance(one, ast.Name)]
        self._scopes.append(dict.fromkeys(names, ""))
        made = self.generic_visit(node)
        self._scopes.pop()
        return made


def _renames(scope: dict[str, str]) -> bool:
    return any(name != new for name, new in scope.items())


def _locals(arguments: ast.arguments, body: Sequence[ast.stmt]) -> dict[str, str]:
    groups = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
    names = [one.arg for one in groups if one is not None] + list(_bound(body))
    outside = {name for one in _own(body) if isinstance(one, (ast.Global, ast.Nonlocal)) for name in one.names}
    return {name: "" for name in names if name not in outside}


def _bound(body: Sequence[ast.stmt]) -> Iterator[str]:
    """Names that a body binds in its own scope."""
    for node in _own(body):
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            yield node.id
        elif isinstance(node, _NAMED) and node.name:
            yield node.name
        elif isinstance(node, ast.alias):
            yield node.asname or node.name.partition(".")[0]


def _own(body: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """All nodes of a body but those inside of functions and classes in it."""
    left: list[ast.AST] = list(reversed(body))
    while left:
        node = left.pop()
        yield node
        if not isinstance(node, _SCOPES):
            left += reversed(list(ast.iter_child_nodes(node)))


def _undocumented(body: list[ast.stmt]) -> list[ast.stmt]:
    """A body without strings that are there to be read, its docstring among them."""
    return [one for one in body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]


def _bodied(body: list[ast.stmt]) -> list[ast.stmt]:
    return body or [ast.Pass()]


def _leaves(code: str, name: str) -> str:
    suffix = next((row.suffixes[0] for row in LANGUAGES if row.name == name and row.suffixes), "")
    syntax = parse(f"code{suffix}", code.encode("utf-8", "replace")) if suffix else None
    if syntax is None or syntax.root.has_error:
        return ""
    return " ".join(_texts(syntax.root))


def _texts(root: Node) -> Iterator[str]:
    left = [root]
    while left:
        node = left.pop()
        if "comment" in node.type:
            continue
        if node.child_count and "string" not in node.type:
            left += reversed(node.children)
        elif node.text and (text := node.text.decode("utf-8", "replace").strip()):
            yield text
