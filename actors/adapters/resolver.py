"""From a handler's host to the addresses that may be connected to (I6)."""

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
#: A name that does not resolve is asked for again soon, and not at every attempt of every delivery.
FAILURE_TTL_S: Final = 1.0
MAX_HOSTS: Final = 8192
#: Addresses may be used for so long beyond that, while their name server takes its time.
STALE_S: Final = 300.0
PATIENCE_S: Final = 0.5
#: Look-ups block a thread each; a name server that hangs must not take those that read the ledger.
LOOK_UP_THREADS: Final = 16
#: A host whose look-up took longer than this is looked up in threads apart, where it delays its like alone.
SLOW_S: Final = 1.0

LookUp = Callable[[str], Awaitable[list[str]]]


class ResolveError(Exception):
    """A host cannot be connected to. The text is a sentence for people."""


class AddressNotAllowed(ResolveError):
    """A host has addresses, and handlers may be at none of them."""


class NameNotResolved(ResolveError):
    """A host name has no address, or none could be found out."""


class _Known(NamedTuple):
    until_s: float
    addresses: list[str]
    #: The sentence of `NameNotResolved`, or "".
    failure: str


class HandlerResolver:
    """Resolves hosts to permitted addresses, and to none else.

    Whoever connects must connect to an address given here, not to the name: a name may point elsewhere a moment later
    (DNS rebinding). Literal addresses are judged like any other, in every spelling the operating system understands.
    Answers are kept for `TTL_S`; look-ups of the same host share one. A name server that hangs delays the hosts that it
    alone knows, and those only until they have been looked up once.
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
            NameNotResolved: it has none, or they could not be found out.
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
        """Lets a handler's URL pass, unless its host is known to be where handlers may not be.

        A name that does not resolve now may do so later; it is judged again at each connection.

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
    """`getaddrinfo` in threads of its own. It reads 127.1, 0x7f.1 and 2130706433 as the addresses they are."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOK_UP_THREADS, "resolve")
        self._slow_threads = ThreadPoolExecutor(LOOK_UP_THREADS, "resolve-slowly")
        #: Hosts that were slow the last time, in the order in which they were found to be.
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
    """The addresses or the failure, and the seconds that it took."""
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
