"""State of the Ray cluster: its actors and nodes. Each call asks Ray, and blocks until it answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
import ray
from ray.exceptions import RayError
from ray.experimental import internal_kv
from ray.util import list_named_actors

from actors.commands.service import ClusterNode
from actors.ray_runtime import options
from domain.errors import Unavailable

_GATEWAYS: Final = "gateway/"
_read_address: Final = msgspec.json.Decoder(tuple[str, int]).decode


def actor_names() -> list[str]:
    """Names of all actors of this installation that are running or being restarted.

    Raises:
        Unavailable: Ray does not answer.
    """
    try:
        found = list_named_actors(all_namespaces=True)
    except RayError as exc:
        raise Unavailable(f"Ray does not list its actors: {exc}") from exc
    return [entry["name"] for entry in found if entry["namespace"] == options.NAMESPACE]


def nodes() -> list[ClusterNode]:
    """Every node that Ray knows, dead ones included.

    Raises:
        Unavailable: Ray does not answer.
    """
    try:
        found = ray.nodes()  # type: ignore[no-untyped-call]
    except RayError as exc:
        raise Unavailable(f"Ray does not list its nodes: {exc}") from exc
    return [
        ClusterNode(
            id=node["NodeID"],
            is_alive=bool(node["Alive"]),
            cpus=int(node["Resources"].get("CPU", 0)),
            memory_bytes=int(node["Resources"].get("memory", 0)),
        )
        for node in found
    ]


def list_gateway(front_end: str, host: str, port: int) -> None:
    """Makes the address known where the gateway of a front end answers actors. Replaces its former one.

    Raises:
        Unavailable: Ray does not answer.
    """
    with _unavailable():
        internal_kv._internal_kv_put(  # noqa: SLF001  there is no public API
            _GATEWAYS + front_end, msgspec.json.encode((host, port)), namespace=options.NAMESPACE.encode()
        )


def gateways() -> list[tuple[str, int]]:
    """Host and port of every gateway that was listed; some may have ended.

    Raises:
        Unavailable: Ray does not answer.
    """
    space = options.NAMESPACE.encode()
    with _unavailable():
        names = internal_kv._internal_kv_list(_GATEWAYS, namespace=space)  # noqa: SLF001
        texts = [internal_kv._internal_kv_get(name, namespace=space) for name in names]  # noqa: SLF001
    return [_read_address(text) for text in texts if text is not None]


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except Exception as exc:  # Ray raises whatever its parts raise
        raise Unavailable(f"Ray does not answer: {exc or type(exc).__name__}") from exc
