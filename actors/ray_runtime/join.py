"""Joining a Ray that is there, or not yet, and noticing when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Final, TypeVar

import ray

from actors.ray_runtime import options
from domain.errors import Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Between two looks whether something answers at Ray's address.
_POLL_S: Final = 0.2
_CONNECT_TIMEOUT_S: Final = 2.0


async def head_answers(address: str) -> None:
    """Returns when something accepts connections at Ray's address: joining before that fails slowly."""
    host, _, port = address.rpartition(":")
    is_told = False
    while True:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except (OSError, TimeoutError) as exc:
            if not is_told:
                log.warning("Ray does not answer", extra={"action": "ray_awaited", "address": address, "error": exc})
                is_told = True
            await asyncio.sleep(_POLL_S)
        else:
            writer.close()
            return


class JoinedRay:
    """Ray as this process has joined it, by way of the Ray node on this machine."""

    def __init__(self, raylet_socket: str, addresses: list[str], own_address: str) -> None:
        self._raylet_socket = raylet_socket
        #: The addresses of the nodes that were there, and this machine's among them.
        self.addresses: Final = addresses
        self.own_address: Final = own_address

    async def lost(self) -> None:
        """Returns when the Ray node on this machine has ended. It ends too when it is cut off from its head.

        That is when this process must join anew: nothing brings a driver back whose node has ended.
        """
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_unix_connection(self._raylet_socket)
            with contextlib.closing(writer):
                while await reader.read(1024):
                    pass


async def join(address: str) -> JoinedRay:
    """Joins. It blocks a thread, for a minute where this machine has no Ray node; nobody need wait for that to end.

    Raises:
        Unavailable: it cannot be joined, with why.
    """
    return await _in_thread(lambda: _join(address))


def _join(address: str) -> JoinedRay:
    # It would warn of what is so on purpose: that in a thread it does not take the signals over.
    logging.getLogger("ray._private.worker").setLevel(logging.ERROR)
    try:
        ray.init(address, namespace=options.NAMESPACE, log_to_driver=False, configure_logging=False)
        # Ray prints its errors to a driver in a thread, which while the head is away asks it without a pause and so
        # takes a whole core from the front end. They are in Ray's logs; the thread ends the next time it would ask.
        ray._private.worker.global_worker.threads_stopped.set()  # noqa: SLF001  there is no public way
        own_id = ray.get_runtime_context().get_node_id()
        alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        (own,) = [node for node in alive if node["NodeID"] == own_id]
    except Exception as exc:  # Ray raises whatever its parts raise
        raise Unavailable(f"Ray at {address} cannot be joined: {exc or type(exc).__name__}") from exc
    return JoinedRay(
        raylet_socket=own["RayletSocketName"],
        addresses=[node["NodeManagerAddress"] for node in alive],
        own_address=own["NodeManagerAddress"],
    )


async def _in_thread(work: Callable[[], T]) -> T:
    """`asyncio.to_thread`, but for what may hang: the process can end before it does."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Unavailable | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result: T | None = None
        error: Unavailable | None = None
        try:
            result = work()
        except Unavailable as exc:
            error = exc
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="join", daemon=True).start()
    return await done
