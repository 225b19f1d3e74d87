"""The fleet's actors on Ray."""

from __future__ import annotations

import contextlib
from typing import Any

import ray
from ray.exceptions import RayError

from actors.ray_runtime import actors, cluster_state, options
from actors.ray_runtime.calls import Actors
from domain.errors import Unavailable


class RayLauncher:
    """A `Launcher` for `Fleet`: every actor gets the same settings.

    Args:
        ledger_at: the address of the only node that has the store; None: each has it.
    """

    def __init__(self, actors: Actors, settings: dict[str, Any], ledger_at: str | None) -> None:
        self._actors = actors
        self._settings = settings
        self._ledger_at = ledger_at

    def there(self) -> set[str]:
        """See `Launcher.there`.

        Raises:
            Unavailable: Ray does not say.
        """
        return set(cluster_state.actor_names())

    def start(self, name: str, *, here: bool = False) -> None:
        """See `Launcher.start`.

        Raises:
            Unavailable: Ray does not take it.
        """
        kind, actor_options = self._kind(name)
        if here:
            actor_options |= options.NEAR
        try:
            kind.options(**actor_options).remote(self._settings)
        except RayError as exc:
            raise Unavailable(f"{options.words_for(name)} cannot be started") from exc

    def _kind(self, name: str) -> tuple[Any, dict[str, Any]]:
        if name == options.LEDGER:
            return actors.Ledger, options.ledger(self._ledger_at)
        if name == options.SUPERVISOR:
            return actors.Supervisor, options.supervisor()
        return actors.Enricher, options.enricher(int(name.rpartition("/")[2]))

    def end(self, name: str) -> None:
        """See `Launcher.end`."""
        with contextlib.suppress(Unavailable, RayError):  # gone already, which is what was wanted
            ray.kill(self._actors.handle(name), no_restart=True)
