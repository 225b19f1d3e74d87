"""Launcher of the ledger, the supervisor and the enrichers on Ray."""

from __future__ import annotations

import contextlib
from typing import Any

import ray
from ray.exceptions import RayError

from actors.actor_names import LEDGER, SUPERVISOR, display_name
from actors.ray_runtime import actors, cluster_state, options
from actors.ray_runtime.calls import ActorClient
from domain.errors import Unavailable


class RayFleetLauncher:
    """The `FleetLauncher` of a rollout: every actor gets the same settings.

    Args:
        client: finds the handles of actors.
        settings: of the service, with the deployment.
        ledger_at: address of the only node that has the store; None: each node has it.
    """

    def __init__(self, client: ActorClient, settings: dict[str, str | None], ledger_at: str | None) -> None:
        self._client = client
        self._settings = settings
        self._ledger_at = ledger_at

    def running(self) -> set[str]:
        """See `FleetLauncher.running`.

        Raises:
            Unavailable: Ray does not answer.
        """
        return set(cluster_state.actor_names())

    def start(self, name: str, *, here: bool = False) -> None:
        """See `FleetLauncher.start`.

        Raises:
            Unavailable: Ray does not start it.
        """
        actor_class, actor_options = self._recipe(name)
        if here:
            actor_options.update(options.NEAR)
        try:
            actor_class.options(**actor_options).remote(self._settings)
        except RayError as exc:
            raise Unavailable(f"{display_name(name)} cannot be started") from exc

    def _recipe(self, name: str) -> tuple[Any, options.ActorOptions]:
        if name == LEDGER:
            return actors.REMOTE_LEDGER, options.ledger(self._ledger_at)
        if name == SUPERVISOR:
            return actors.REMOTE_SUPERVISOR, options.supervisor()
        return actors.REMOTE_ENRICHER, options.enricher(name)

    def end(self, name: str) -> None:
        with contextlib.suppress(Unavailable, RayError):  # already gone
            ray.kill(self._client.handle(name), no_restart=True)
