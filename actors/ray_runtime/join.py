"""Join of a Ray cluster that may not be up yet, and detection of its loss."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import Final

import ray

from actors.ray_runtime import options
from domain.errors import Unavailable

log = logging.getLogger(__name__)

#: Pause between attempts to connect to Ray's address.
_POLL_S: Final = 0.2
_CONNECT_TIMEOUT_S: Final = 2.0


async def head_answers(address: str) -> None:
    """Returns when something accepts connections at Ray's address; joining earlier fails, and slowly."""
    host, _, port = address.rpartition(":")
    is_logged = False
    while True:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except (OSError, TimeoutError) as exc:
            if not is_logged:
                log.warning("Ray does not answer", extra={"action": "ray_awaited", "address": address, "error": exc})
                is_logged = True
            await asyncio.sleep(_POLL_S)
        else:
            writer.close()
            return


class JoinedRay:
    """The Ray cluster that this process has joined, by way of the Ray node on this machine."""

    def __init__(self, raylet_socket: str, addresses: list[str], own_address: str) -> None:
        self._raylet_socket = raylet_socket
        #: Addresses of all nodes at the time, this machine's included.
        self.addresses: Final = addresses
        self.own_address: Final = own_address

    async def lost(self) -> None:
        """Returns when the Ray node on this machine has ended, which it also does when it is cut off from its head.

        Then this process must join again: a driver does not recover from the end of its node.
        """
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_unix_connection(self._raylet_socket)
            with contextlib.closing(writer):
                while await reader.read(1024):
                    pass


async def join(address: str) -> JoinedRay:
    """Joins the cluster in a thread, which blocks for a minute if this machine has no Ray node.

    The process can end before the thread does.

    Raises:
        Unavailable: the join failed; says why.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[JoinedRay] = loop.create_future()

    def settle(joined: JoinedRay | Unavailable) -> None:
        if done.done():
            return
        if isinstance(joined, Unavailable):
            done.set_exception(joined)
        else:
            done.set_result(joined)

    def run() -> None:
        joined: JoinedRay | Unavailable
        try:
            joined = _join(address)
        except Unavailable as exc:
            joined = exc
        with contextlib.suppress(RuntimeError):  # the loop has ended since
            loop.call_soon_threadsafe(settle, joined)

    threading.Thread(target=run, name="join", daemon=True).start()  # `asyncio.to_thread` would keep the process alive
    return await done


def _join(address: str) -> JoinedRay:
    # It would warn that in a thread it does not handle signals, which is intended here.
    logging.getLogger("ray._private.worker").setLevel(logging.ERROR)
    try:
        ray.init(address, namespace=options.NAMESPACE, log_to_driver=False, configure_logging=False)
        # A thread polls the head for errors to print. While the head is down it polls without a pause, and takes a core
        # from the front end. The errors are in Ray's logs anyway; this ends the thread at its next poll.
        ray._private.worker.global_worker.threads_stopped.set()  # noqa: SLF001  there is no public API
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
