"""The resolver, which returns only permitted addresses (I6)."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from actors.adapters import resolver as module
from actors.adapters.resolver import AddressNotAllowed, HandlerResolver, NameNotResolved
from domain.errors import InvalidInput
from domain.handler_policy import HandlerPolicy, parse_networks


class NameServer:
    """Returns the next answer at each look-up, and then the last one for ever."""

    def __init__(self, *answers: list[str] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        await self.gate.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Time:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def resolver(
    *answers: list[str] | Exception, allowed: str = "", time: Time | None = None
) -> tuple[HandlerResolver, NameServer]:
    names = NameServer(*answers)
    return HandlerResolver(HandlerPolicy(parse_networks(allowed)), names, time or Time()), names


def test_public_addresses_are_returned_in_order() -> None:
    """A public host's addresses keep the name server's order, each once."""

    async def main() -> None:
        made, _ = resolver(["93.184.216.34", "2606:4700::1111", "93.184.216.34"])

        assert await made.addresses("example.com") == ["93.184.216.34", "2606:4700::1111"]

    asyncio.run(main())


def test_banned_addresses_are_left_out() -> None:
    """If a host has public and private addresses, only the public ones are returned."""

    async def main() -> None:
        made, _ = resolver(["10.0.0.1", "93.184.216.34", "::1"])

        assert await made.addresses("example.com") == ["93.184.216.34"]

    asyncio.run(main())


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "0",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "169.254.169.254",
        "10.1.2.3",
        "localhost",
        "64:ff9b::7f00:1",
        "fe80::1",
    ],
)
def test_literal_addresses_are_checked_in_every_spelling(host: str) -> None:
    """A private address is refused in every spelling, by the real look-up."""

    async def main() -> None:
        made = HandlerResolver(HandlerPolicy(()))

        with pytest.raises((AddressNotAllowed, NameNotResolved)):
            await made.addresses(host)

    asyncio.run(main())


def test_refusal_names_the_address_and_the_setting() -> None:
    """The message names the address, and the setting that would allow it."""

    async def main() -> None:
        made, _ = resolver(["10.0.0.1"])

        with pytest.raises(
            AddressNotAllowed,
            match=r"shop\.example: the address 10\.0\.0\.1 .*FEEDBACK_LOOPS_ALLOWED_HANDLER_NETWORKS.*10\.0\.0\.1/32",
        ):
            await made.addresses("shop.example")

    asyncio.run(main())


def test_allowed_networks_are_exempt() -> None:
    """A network in the setting lifts the ban only for its own addresses."""

    async def main() -> None:
        made, _ = resolver(["10.0.0.1", "192.168.0.1"], allowed="10.0.0.0/24")

        assert await made.addresses("shop.example") == ["10.0.0.1"]

    asyncio.run(main())


def test_answers_are_cached_for_a_while() -> None:
    """A second look-up within the TTL makes no query; a later one does, and is checked again."""

    async def main() -> None:
        time = Time()
        made, names = resolver(["93.184.216.34"], ["127.0.0.1"], time=time)
        await made.addresses("example.com")
        time.now_s += module.TTL_S - 0.1
        await made.addresses("example.com")

        assert names.asked == ["example.com"]

        time.now_s += 0.2
        with pytest.raises(AddressNotAllowed):
            await made.addresses("example.com")

    asyncio.run(main())


def test_look_ups_of_one_host_are_shared() -> None:
    """Simultaneous look-ups of a host share one query, and a caller that gives up does not spoil it for others."""

    async def main() -> None:
        made, names = resolver(["93.184.216.34"])
        names.gate.clear()
        tasks = [asyncio.create_task(made.addresses("example.com")) for _ in range(5)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks[0].cancel()
        names.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)

        assert results[1:] == [["93.184.216.34"]] * 4
        assert len(names.asked) == 1

    asyncio.run(main())


def test_failures_are_explained_and_soon_forgotten() -> None:
    """A name that does not resolve has a message, and is looked up again a moment later."""

    async def main() -> None:
        time = Time()
        made, _ = resolver(OSError(-2, "Name or service not known"), ["93.184.216.34"], time=time)
        with pytest.raises(NameNotResolved, match=r"example\.com does not resolve: Name or service not known"):
            await made.addresses("example.com")
        time.now_s += module.FAILURE_TTL_S

        assert await made.addresses("example.com") == ["93.184.216.34"]

    asyncio.run(main())


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "..", "a..b"])
def test_impossible_names_do_not_resolve(host: str) -> None:
    """A name that DNS cannot hold does not resolve, and does not crash the resolver."""

    async def main() -> None:
        with pytest.raises(NameNotResolved):
            await HandlerResolver(HandlerPolicy(())).addresses(host)

    asyncio.run(main())


def test_no_address_is_a_failure() -> None:
    """A name with an empty answer does not resolve."""

    async def main() -> None:
        made, _ = resolver([])

        with pytest.raises(NameNotResolved, match="has no address"):
            await made.addresses("example.com")

    asyncio.run(main())


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest hosts are dropped when there are too many."""

    async def main() -> None:
        monkeypatch.setattr(module, "MAX_HOSTS", 3)
        made, _ = resolver(["93.184.216.34"])
        for number in range(10):
            await made.addresses(f"h{number}.example")

        assert len(made._known) == 3

    asyncio.run(main())


def test_check_url() -> None:
    """A URL with a banned address is invalid input at /url; one that does not resolve yet passes."""

    async def main() -> None:
        made, _ = resolver(["10.0.0.1"], OSError("no"), ["93.184.216.34"])
        with pytest.raises(InvalidInput) as caught:
            await made.check_url("https://inside.example/x")
        await made.check_url("https://unknown.example/x")
        await made.check_url("https://example.com/x")

        assert caught.value.problems[0][0] == "/url"

    asyncio.run(main())


def test_a_name_server_that_hangs_leaves_known_hosts_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expired addresses stay in use during their look-up, but not for ever."""
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)

    async def main() -> None:
        time = Time()
        made, names = resolver(["93.184.216.34"], ["93.184.216.35"], time=time)
        await made.addresses("example.com")
        names.gate.clear()
        time.now_s += module.TTL_S + 1
        assert [await made.addresses("example.com") for _ in range(3)] == [["93.184.216.34"]] * 3
        assert len(names.asked) == 2

        time.now_s += module.STALE_S
        waiting = asyncio.create_task(made.addresses("example.com"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        names.gate.set()
        assert await waiting == ["93.184.216.35"]

    asyncio.run(main())


def test_slow_hosts_delay_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known slow hosts cannot delay others, however many there are; a host that has recovered is treated normally."""
    monkeypatch.setattr(module, "SLOW_S", 0.2)
    monkeypatch.setattr(module, "LOOK_UP_THREADS", 2)
    gate, is_slow = threading.Event(), True

    def look_up(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        if host.startswith("slow"):
            gate.wait(5)
            if is_slow:
                threading.Event().wait(0.3)
        return [(0, 0, 0, "", ("93.184.216.34", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    async def main() -> None:
        nonlocal is_slow
        names = module._SystemLookUp()
        gate.set()
        await asyncio.gather(*(names(f"slow{n}.example") for n in range(4)))
        gate.clear()
        slow = [asyncio.create_task(names(f"slow{n}.example")) for n in range(4)]
        async with asyncio.timeout(2):
            assert await names("example.com") == ["93.184.216.34"]
        assert not any(task.done() for task in slow)

        is_slow = False
        gate.set()
        await asyncio.gather(*slow)
        await asyncio.gather(*(names(f"slow{n}.example") for n in range(4)))
        assert names._slow == {}

    asyncio.run(main())
