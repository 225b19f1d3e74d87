"""Ports of the front end's application: the parts that it is composed of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Protocol

from starlette.types import Receive, Scope, Send

from actors.gateway.client import Client
from api.observability.readiness import JournalHealth
from api.reports.intake import ReportJournal
from domain.kept_ip import KeepIp
from domain.key_set import KeySet


class FrontEndSettings(Protocol):
    """The settings that the front end needs; implemented by `actors.settings.Settings`."""

    @property
    def public_url_problem(self) -> str | None:
        """Why recipients cannot reach the public URL, or None."""
        ...

    @property
    def public_url(self) -> str:
        """Base of all tracking URLs."""
        ...

    @property
    def return_domain(self) -> str | None:
        """Domain of the return-path addresses, or None."""
        ...

    @property
    def keep_ip(self) -> KeepIp:
        """How much of a client's address is kept."""
        ...

    @property
    def admin_key(self) -> object:
        """The bearer key of /v1/accounts: an object whose `str()` is the key."""
        ...

    @property
    def store(self) -> str | None:
        """The URL of the ledger's database; None: the ledger is in the data directory."""
        ...

    @property
    def data_dir(self) -> Path | None:
        """The directory for the first run's token and the copy of the API keys; if None, no file is written."""
        ...

    @property
    def trusted_proxies(self) -> Sequence[IPv4Network | IPv6Network]: ...


class ConnectedClient(Client, Protocol):
    """A client with a connection to close."""

    async def close(self) -> None: ...


class FollowedKeys(Protocol):
    """The installation's keys, which change with a rotation."""

    def __call__(self) -> KeySet:
        """The current keys."""
        ...

    def follow(self, use: Callable[[KeySet], None]) -> None:
        """Calls `use` with each later set of keys."""
        ...


class Watch(Protocol):
    """Background task that looks for what this front end has to do: new keys, erasures."""

    def start(self) -> None: ...

    async def stop(self) -> None: ...


class OpenJournal(JournalHealth, ReportJournal, Protocol):
    """An open edge journal."""

    @property
    def depth(self) -> int:
        """Entries that are not in the ledger yet."""
        ...

    async def flush(self, timeout_s: float) -> None:
        """Writes the hits in memory, also to what is reserved for this."""
        ...

    async def close(self, timeout_s: float) -> None: ...


class HitForwarder(Protocol):
    """Background task that sends the journal's hits to the ledger."""

    async def start(self) -> None: ...

    async def stop(self, drain_s: float) -> None: ...


class TrackingPaths(Protocol):
    """The ASGI application of tracking URLs."""

    def handles(self, path: str) -> bool:
        """Whether the application answers requests for this path."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...
