"""Resolver: maps a handler's host to the addresses that may be connected to (I6)."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from domain.errors import InvalidInput
from domain.handler_policy import HandlerPolicy
from domain.values import HandlerUrl

TTL_S: Final = 10.0
#: A failed look-up is repeated soon, but not for every attempt of every delivery.
FAILURE_TTL_S: Final = 1.0
MAX_HOSTS: Final = 8192
#: How long expired addresses may still be used while a slow name server is asked again.
STALE_S: Final = 300.0
PATIENCE_S: Final = 0.5
#: Each look-up blocks a thread. They have their own pool, so that a name server that hangs does not block ledger reads.
LOOK_UP_THREADS: Final = 16
#: A host whose look-up took longer is looked up in a separate pool, where it only delays other slow hosts.
SLOW_S: Final = 1.0

LookUp = Callable[[str], Awaitable[list[str]]]


class ResolveError(Exception):
    """A host that cannot be connected to. The text is a sentence for people."""


class AddressNotAllowed(ResolveError):
    """A host none of whose addresses is permitted."""


class NameNotResolved(ResolveError):
    """A host name without an address, or whose look-up failed."""


class _Known(NamedTuple):
    until_s: float
    addresses: list[str]
    #: The sentence of `NameNotResolved`, or "".
    failure: str


class HandlerResolver:
    """Resolves hosts to permitted addresses only.

    Connect to an address returned here, never to the name: the name may point elsewhere a moment later (DNS
    rebinding). Literal addresses are checked like any other, in every spelling that the operating system understands.
    Results are cached for `TTL_S`; concurrent look-ups of a host share one. A name server that hangs only delays its
    own hosts, and those only until their first look-up succeeds.
    """

    def __init__(
        self, policy: HandlerPolicy, look_up: LookUp | None = None, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._policy = policy
        self._look_up = look_up or _SystemLookUp()
        self._monotonic_s = monotonic_s
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, asyncio.Task[_Known]] = {}

    async def addresses(self, host: str) -> list[str]:
        """The permitted addresses of `host`, at least one, in the order to try them.

        Raises:
            AddressNotAllowed: it has addresses, none of them permitted.
            NameNotResolved: it has none, or the look-up failed.
        """
        known = self._known.get(host)
        if known is None or known.until_s <= self._monotonic_s():
            known = await self._ask(host, known)
        if known.failure:
            raise NameNotResolved(known.failure)
        problems = {address: self._policy.problem_with(address) for address in known.addresses}
        permitted = [address for address, problem in problems.items() if problem is None]
        if permitted:
            return permitted
        raise AddressNotAllowed("; ".join(_refusal(host, address, str(why)) for address, why in problems.items()))

    async def check_url(self, url: str) -> None:
        """Rejects a handler's URL if none of its host's addresses is permitted.

        A name that does not resolve passes: it may resolve later, and is checked again for each connection.

        Raises:
            InvalidInput: with the pointer /url.
        """
        try:
            await self.addresses(HandlerUrl(url).host)
        except AddressNotAllowed as exc:
            raise InvalidInput(f"url: {exc}", [("/url", str(exc))]) from exc
        except NameNotResolved:
            return

    async def _ask(self, host: str, before: _Known | None) -> _Known:
        task, is_first = self._asking.get(host), False
        if task is None:
            is_first = True
            task = self._asking[host] = asyncio.create_task(self._find_out(host), name="resolve")
            task.add_done_callback(lambda _: self._asking.pop(host, None))
        if before is not None and before.addresses and before.until_s + STALE_S > self._monotonic_s():
            if is_first:
                await asyncio.wait({task}, timeout=PATIENCE_S)
            if not task.done():
                return before
        return await asyncio.shield(task)

    async def _find_out(self, host: str) -> _Known:
        now_s = self._monotonic_s()
        try:
            known = _Known(now_s + TTL_S, list(dict.fromkeys(await self._look_up(host))), "")
        except (OSError, UnicodeError) as exc:
            known = _Known(now_s + FAILURE_TTL_S, [], f"{host} does not resolve: {_reason(exc)}")
        if not known.addresses and not known.failure:
            known = _Known(now_s + FAILURE_TTL_S, [], f"{host} has no address")
        while len(self._known) >= MAX_HOSTS:
            del self._known[next(iter(self._known))]
        self._known[host] = known
        return known


class _SystemLookUp:
    """`getaddrinfo` in dedicated threads. It understands spellings such as 127.1, 0x7f.1 and 2130706433."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOK_UP_THREADS, "resolve")
        self._slow_threads = ThreadPoolExecutor(LOOK_UP_THREADS, "resolve-slowly")
        #: Hosts whose last look-up was slow, oldest first.
        self._slow: dict[str, None] = {}

    async def __call__(self, host: str) -> list[str]:
        threads = self._slow_threads if host in self._slow else self._threads
        found, took_s = await asyncio.get_running_loop().run_in_executor(threads, _look_up, host)
        self._slow.pop(host, None)
        if took_s > SLOW_S:
            self._slow[host] = None
            if len(self._slow) > MAX_HOSTS:
                del self._slow[next(iter(self._slow))]
        if isinstance(found, Exception):
            raise found
        return found


def _look_up(host: str) -> tuple[list[str] | OSError | UnicodeError, float]:
    """The addresses or the failure, and the duration in seconds."""
    began_s = time.monotonic()
    found: list[str] | OSError | UnicodeError
    try:
        found = [str(address[0]) for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as exc:
        found = exc
    return found, time.monotonic() - began_s


def _reason(exc: OSError | UnicodeError) -> str:
    return exc.strerror or str(exc) if isinstance(exc, OSError) else "it is not a host name"


def _refusal(host: str, address: str, problem: str) -> str:
    subject = "" if host == address else f"{host}: "
    network = f"{address.partition('%')[0]}/{128 if ':' in address else 32}"
    return f"{subject}{problem} (FEEDBACK_LOOPS_ALLOWED_HANDLER_NETWORKS makes exceptions, such as {network})"
