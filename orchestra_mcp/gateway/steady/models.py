"""The models that can be asked, by name, each with its own stack; a stack is built when its model is first asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from orchestra_mcp.gateway.dialects.dialect import Vectorising
from orchestra_mcp.gateway.provider import Provider
from orchestra_mcp.gateway.steady.keyed import Keyed
from orchestra_mcp.settings import ModelSpec

MAX_ADDED = 500
"""Models that were named as `vendor/model id` and are not in the settings; then the one that was named first makes room."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything that stands between a name and the wire of one model."""

    name: str
    spec: ModelSpec
    ask: Provider
    keyed: Keyed
    """What is below retries and limits: the wires, one for each key."""
    vectors: Vectorising
    """What makes vectors, within the limits."""


class Models(Mapping[str, Stack]):
    """Name → stack.

    Args:
        specs: the models of the settings, or those that were found.
        make: builds the stack of one model.
    """

    def __init__(self, specs: Mapping[str, ModelSpec], make: Callable[[str, ModelSpec], Stack]) -> None:
        self._specs = dict(specs)
        self.given = tuple(specs)
        """Names of the models that everybody may know of."""
        self._make = make
        self._stacks: dict[str, Stack] = {}

    def __getitem__(self, name: str) -> Stack:
        """The stack of a model. Raises KeyError when there is no such model."""
        stack = self._stacks.get(name)
        if stack is None:
            stack = self._stacks[name] = self._make(name, self._specs[name])
        return stack

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def built(self) -> tuple[Stack, ...]:
        """The stacks of all models that were asked so far."""
        return tuple(self._stacks.values())

    def forget(self, names: Collection[str]) -> None:
        """Build these stacks anew when they are next asked, such as with a new key; calls in flight go on."""
        for name in names:
            self._stacks.pop(name, None)

    def resting(self, name: str) -> float | None:
        """Seconds until a model may be asked again; None when it may be asked now, as far as is known."""
        stack = self._stacks.get(name)
        return stack.keyed.resting() or None if stack is not None else None

    def spec(self, name: str) -> ModelSpec:
        """How a model is reached, without building its stack. Raises KeyError."""
        return self._specs[name]

    def add(self, name: str, spec: ModelSpec) -> str | None:
        """One more model; the name of the one that was forgotten for it, if any. Calls that it answers go on."""
        gone = None
        if len(self._specs) - len(self.given) >= MAX_ADDED:
            given = frozenset(self.given)
            gone = next(each for each in self._specs if each not in given)
            del self._specs[gone]
            self._stacks.pop(gone, None)
        self._specs.setdefault(name, spec)
        return gone
