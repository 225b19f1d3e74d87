"""Every option of the service in one table: its name, its meaning, how its text is read. The docs are made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from math import isfinite
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from domain.errors import InvalidInput
from domain.handler_policy import parse_networks
from domain.retry import RetrySchedule

ENV_PREFIX: Final = "FEEDBACK_LOOPS_"
KEY_BYTES: Final = 32


class Secret:
    """A text that does not show itself: `repr` and the formatting of what holds it hide it, `str` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret('**********')" if self._text else "Secret('')"

    def __str__(self) -> str:
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def host(text: str) -> str:
    """A host name or address to listen at."""
    if not text or any(character.isspace() or character in "/@" for character in text):
        raise ValueError("must be a host name or an IP address, like 127.0.0.1")
    return text.strip("[]")


def port(text: str) -> int:
    """A TCP port; 0 takes a free one."""
    return integer(0, 65535)(text)


def integer(low: int, high: int) -> Callable[[str], int]:
    """Reads whole numbers between two bounds, both included."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 19 and low <= int(text) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return read


def seconds(low: float, high: float) -> Callable[[str], float]:
    """Reads durations in seconds between two bounds, both included."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not (isfinite(value) and low <= value <= high):
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return value

    return read


def days(text: str) -> float:
    """A duration in days."""
    return seconds(0, 36_500)(text)


def directory(text: str) -> Path:
    """An absolute path, `~` resolved."""
    if "\0" in text:
        raise ValueError("must be a path")
    return Path(text).expanduser().absolute()


def base_url(text: str) -> str:
    """The base of URLs that are handed out, without the slash at its end."""
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        has_host = False
    if not has_host or parts.scheme not in {"http", "https"} or parts.query or parts.fragment or parts.username:
        raise ValueError("must be an http(s) URL with a host and without query, like https://track.example.com")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be plain ASCII; write an international name as xn--…")
    return text.rstrip("/")


def store(text: str) -> str:
    """Where the ledger is kept."""
    if urlsplit(text).scheme not in {"postgresql", "postgres"}:
        raise ValueError("must be a URL like postgresql://user:password@host/database")
    return text


def address(text: str) -> str:
    """`host:port`."""
    name, colon, number = text.rpartition(":")
    if not colon or not name.strip("[]") or not number.isdigit() or not 0 < int(number) <= 65535:
        raise ValueError("must be a host and a port, like 10.0.0.5:6379")
    return text


def literal_address(text: str) -> str:
    """`address:port`, the address a literal one: nothing can look up a name server's name."""
    address(text)
    try:
        ip_address(text.rpartition(":")[0].strip("[]"))
    except ValueError:
        raise ValueError("must be an IP address and a port, like 9.9.9.9:53") from None
    return text


def key(text: str) -> bytes:
    """32 bytes in hexadecimal."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != KEY_BYTES:
        raise ValueError(f"must be {2 * KEY_BYTES} hexadecimal digits; `openssl rand -hex {KEY_BYTES}` makes some")
    return value


def bearer_key(text: str) -> Secret:
    """A key that can stand in an `Authorization` header."""
    if not text.isascii() or not text.isprintable() or " " in text or len(text) < 8:
        raise ValueError("must be at least 8 printable ASCII characters without spaces")
    return Secret(text)


def log_level(text: str) -> str:
    """The name of a level of `logging`, in lower case."""
    if text.lower() not in {"debug", "info", "warning", "error"}:
        raise ValueError("must be debug, info, warning or error")
    return text.lower()


def log_format(text: str) -> str:
    """How a line of the log is written."""
    if text not in {"text", "json"}:
        raise ValueError("must be text or json")
    return text


def networks(name: str) -> Callable[[str], object]:
    """Reads networks separated by commas."""
    return lambda text: parse_networks(text, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of the service."""

    #: As in the environment variable (upper case) and the flag (with dashes).
    name: str
    #: What a value looks like.
    metavar: str
    #: The text that is read when nothing is given; None: the option is then unset.
    default: str | None
    #: What holds when it is unset, for the docs.
    unset: str = ""
    #: One sentence.
    help: str
    #: Text to value; raises `ValueError` with what the text must be.
    read: Callable[[str], object]
    #: A secret has no flag: every user of the machine can see the flags of a process.
    is_secret: bool = False
    #: `Settings`' attribute, where it differs from `name` by its unit.
    unit: str = ""

    @property
    def attribute(self) -> str:
        return self.name + self.unit

    @property
    def variable(self) -> str:
        return ENV_PREFIX + self.name.upper()

    @property
    def flag(self) -> str | None:
        return None if self.is_secret else "--" + self.name.replace("_", "-")

    @property
    def default_text(self) -> str:
        """The default, for people."""
        return self.unset if self.default is None else self.default

    def problem_with(self, text: str) -> str | None:
        """What is wrong with a text, or None."""
        try:
            self.read(text)
        except ValueError as exc:
            return str(exc)
        except InvalidInput as exc:
            return "; ".join(problem for _, problem in exc.problems) or str(exc)
        return None


OPTIONS: Final[tuple[Option, ...]] = (
    Option(name="host", metavar="HOST", default="127.0.0.1", read=host, help="Where to listen."),
    Option(name="port", metavar="PORT", default="8080", read=port, help="Where to listen; 0 takes a free port."),
    Option(
        name="data_dir",
        metavar="DIR",
        default="./var",
        read=directory,
        help="The directory that holds everything which must outlive a restart; made when it is not there.",
    ),
    Option(
        name="store",
        metavar="URL",
        default=None,
        unset="SQLite in the data directory",
        read=store,
        help="A PostgreSQL database for the ledger, like postgresql://user@host/database. A password is best left to "
        "the variable, or to libpq's own ways (PGPASSFILE): every user of the machine can see the flags of a process.",
    ),
    Option(
        name="ray_address",
        metavar="HOST:PORT",
        default=None,
        unset="a Ray of its own, on this machine",
        read=address,
        help="A running Ray to join. When it asks for a token, as it should, set Ray's own variables "
        "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH (a file with the token) for this service too.",
    ),
    Option(
        name="public_url",
        metavar="URL",
        default=None,
        unset="`http://HOST:PORT`",
        read=base_url,
        help="The base of the tracking URLs that are handed out: how mail recipients reach this service.",
    ),
    Option(
        name="admin_key",
        metavar="KEY",
        default=None,
        unset="made at the first start, in `admin.key` of the data directory",
        read=bearer_key,
        is_secret=True,
        help="The bearer key for /v1/accounts.",
    ),
    Option(
        name="master_key",
        metavar="HEX",
        default=None,
        unset="made at the first start, in `master.key` of the data directory",
        read=key,
        is_secret=True,
        help="The key that all others are derived from, 32 bytes in hexadecimal; it can never be changed.",
    ),
    Option(
        name="allowed_handler_networks",
        metavar="CIDR,…",
        default="",
        read=networks("allowed_handler_networks"),
        help="Networks whose addresses handlers may have although they are private, like 10.1.0.0/16.",
    ),
    Option(
        name="retry_schedule",
        metavar="S,S,…",
        default="5,300,1800,7200,18000,36000,36000",
        read=RetrySchedule.parse,
        help="Seconds before each retry of a delivery.",
    ),
    Option(
        name="delivery_timeout",
        unit="_s",
        metavar="S",
        default="15",
        read=seconds(0.1, 300),
        help="Seconds that a handler has for one attempt.",
    ),
    Option(
        name="disable_after",
        unit="_s",
        metavar="S",
        default="432000",
        read=seconds(1, 366 * 24 * 3600),
        help="Seconds of failures alone after which a feedback loop is disabled.",
    ),
    Option(
        name="trusted_proxies",
        metavar="CIDR,…",
        default="",
        read=networks("trusted_proxies"),
        help="Networks of the proxies whose Forwarded or X-Forwarded-For header is believed.",
    ),
    Option(
        name="enrichers",
        metavar="N",
        default="1",
        read=integer(1, 64),
        help="How many enrichment actors share the work.",
    ),
    Option(
        name="actor_budget",
        metavar="N",
        default=None,
        unset="what the memory and the cores of all machines carry",
        read=integer(1, 100_000),
        help="How many processes feedback loops may take, at some 60 MB each. A loop has one of its own while they "
        "last; all others share processes, many to each.",
    ),
    Option(
        name="nameserver",
        metavar="IP:PORT",
        default=None,
        unset="the system's",
        read=literal_address,
        help="The DNS server that is asked for verification records.",
    ),
    Option(
        name="journal_max_bytes",
        metavar="BYTES",
        default="1073741824",
        read=integer(16 << 20, 1 << 40),
        help="How large the journal of answered hits may grow while they cannot be stored.",
    ),
    Option(
        name="keep_deliveries",
        unit="_days",
        metavar="DAYS",
        default="30",
        read=days,
        help="Days that delivered and dead deliveries are kept; 0: for ever.",
    ),
    Option(
        name="keep_attempts",
        unit="_days",
        metavar="DAYS",
        default="30",
        read=days,
        help="Days that attempts are kept; 0: as long as their deliveries.",
    ),
    Option(
        name="keep_events",
        unit="_days",
        metavar="DAYS",
        default="365",
        read=days,
        help="Days that events are kept; 0: for ever. One that a kept delivery needs stays with it.",
    ),
    Option(
        name="log_level",
        metavar="LEVEL",
        default="info",
        read=log_level,
        help="debug, info, warning or error.",
    ),
    Option(
        name="log_format",
        metavar="FORMAT",
        default="text",
        read=log_format,
        help="text (key=value), or json: one object a line.",
    ),
)


def text_of(value: Any) -> str | None:
    """The text that a value of `Settings` was read from, or one that is read as the same."""
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
