"""Stack of open elements that finds an element by its name in constant time."""

from __future__ import annotations

from collections import Counter
from typing import Generic, TypeVar

T = TypeVar("T")


class OpenElements(Generic[T]):
    """Names of open elements, each with a value, the innermost last. All operations take amortised constant time."""

    def __init__(self) -> None:
        self._entries: list[tuple[str, T]] = []
        self._counts: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self._entries)

    def __contains__(self, name: str) -> bool:
        return self._counts[name] > 0

    @property
    def outermost(self) -> T:
        return self._entries[0][1]

    @property
    def innermost_name(self) -> str | None:
        return self._entries[-1][0] if self._entries else None

    @property
    def innermost(self) -> T:
        return self._entries[-1][1]

    def push(self, name: str, value: T) -> None:
        self._entries.append((name, value))
        self._counts[name] += 1

    def pop(self) -> T:
        name, value = self._entries.pop()
        self._counts[name] -= 1
        return value

    def pop_through(self, name: str) -> bool:
        """Closes the innermost element with this name and all in it; False if there is none."""
        if name not in self:
            return False
        while True:
            closed, _ = self._entries[-1]
            self.pop()
            if closed == name:
                return True
