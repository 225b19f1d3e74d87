"""The fleet's actors on Ray."""

from __future__ import annotations

import contextlib
from typing import Any, Final

import ray
from ray.exceptions import RayError
from ray.util import list_named_actors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors import options, remote
from actors.ray_calls import Actors
from domain.errors import Unavailable

#: What warming up may take, at most; without it all works, and slower.
WARM_S: Final = 10.0


@ray.remote(num_cpus=0, max_retries=0)
def _warm() -> None:
    """Nothing: to call it, a process has imported this module. Ray keeps the process, for the next actor."""


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
        try:
            return {entry["name"] for entry in list_named_actors(all_namespaces=True)}
        except RayError as exc:
            raise Unavailable("Ray does not say which actors there are") from exc

    def start(self, name: str) -> None:
        """See `Launcher.start`.

        Raises:
            Unavailable: Ray does not take it.
        """
        kind, actor_options = self._kind(name)
        try:
            kind.options(**actor_options).remote(self._settings)
        except RayError as exc:
            raise Unavailable(f"{options.words_for(name)} cannot be started") from exc

    def _kind(self, name: str) -> tuple[Any, dict[str, Any]]:
        if name == options.LEDGER:
            return remote.Ledger, options.ledger(self._ledger_at)
        if name == options.SUPERVISOR:
            return remote.Supervisor, options.supervisor()
        return remote.Enricher, options.enricher(int(name.rpartition("/")[2]))

    def warm_up(self) -> None:
        """See `Launcher.warm_up`.

        Raises:
            Unavailable: Ray does not answer.
        """
        try:
            nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
            here = [NodeAffinitySchedulingStrategy(node, soft=True) for node in nodes]
            ray.wait(
                [_warm.options(scheduling_strategy=at).remote() for at in here], num_returns=len(here), timeout=WARM_S
            )
        except RayError as exc:
            raise Unavailable("Ray does not answer") from exc

    def end(self, name: str) -> None:
        """See `Launcher.end`."""
        with contextlib.suppress(Unavailable, RayError):  # gone already, which is what was wanted
            ray.kill(self._actors.handle(name), no_restart=True)
