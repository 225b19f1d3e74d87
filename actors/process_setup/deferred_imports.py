"""Deferred imports: a library that another library imports and this service never uses is loaded when it is used.

Ray imports three such libraries in every process. They would take 100 ms and 9 MB of each.

`importlib.util.LazyLoader` does not fit: an `import` of a library that it has registered reads the module's `__spec__`,
which already loads it, and before Python 3.13, other threads may see the module half loaded.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from types import ModuleType
from typing import Any, Final

_loading: Final = threading.RLock()
_begun: Final[set[str]] = set()


class _Deferred(ModuleType):
    """A module that runs its code when one of its names is first asked for."""

    def __getattr__(self, name: str) -> Any:
        # The import system asks for names with underscores, which are there or may be missing.
        if not name.startswith("__"):
            with _loading:
                spec = self.__spec__
                if self.__name__ not in _begun and spec is not None and spec.loader is not None:
                    _begun.add(self.__name__)
                    spec.loader.exec_module(self)
                    self.__class__ = ModuleType  # type: ignore[assignment]
        return object.__getattribute__(self, name)


def defer(*names: str) -> None:
    """From now on, `import NAME` loads nothing until the library is used. Does nothing for libraries that are loaded.

    Submodules that are imported by their full names run before their package.
    """
    for name in names:
        spec = None if name in sys.modules else importlib.util.find_spec(name)
        if spec is not None:
            module = _Deferred(name)
            module.__spec__, module.__loader__, module.__package__ = spec, spec.loader, name
            module.__file__ = spec.origin
            if spec.submodule_search_locations is not None:
                module.__path__ = spec.submodule_search_locations
            sys.modules[name] = module
