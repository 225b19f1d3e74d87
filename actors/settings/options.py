"""Options of the service in one table; the reference page of all settings is generated from it."""

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
MAX_DAYS: Final = 36_500


class Secret:
    """A secret text. `repr` hides it, also inside other objects; `str` returns it."""

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
    """A host name or address to listen on."""
    if not text or any(character.isspace() or character in "/@" for character in text):
        raise ValueError("must be a host name or an IP address, like 127.0.0.1")
    return text.strip("[]")


def integer(low: int, high: int) -> Callable[[str], int]:
    """A parser of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 19 and low <= int(text) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return read


def seconds(low: float, high: float) -> Callable[[str], float]:
    """A parser of seconds from `low` to `high`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not (isfinite(value) and low <= value <= high):
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return value

    return read


def directory(text: str) -> Path:
    """A path, made absolute, with `~` expanded."""
    if "\0" in text:
        raise ValueError("must be a path")
    return Path(text).expanduser().absolute()


def base_url(text: str) -> str:
    """The base of the tracking URLs, without a trailing slash."""
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        has_host = False
    if not has_host or parts.scheme not in {"http", "https"} or parts.query or parts.fragment or parts.username:
        raise ValueError("must be an http(s) URL with a host and without a query, like https://track.example.com")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be ASCII; write an international domain name as xn--…")
    return text.rstrip("/")


def store(text: str) -> str:
    """The URL of the ledger's database."""
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
    """`address:port` with a literal address: nothing can resolve the name of a name server."""
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
        raise ValueError(
            f"must be {2 * KEY_BYTES} hexadecimal digits; create them with `openssl rand -hex {KEY_BYTES}`"
        )
    return value


def bearer_key(text: str) -> Secret:
    """A key that is valid in an `Authorization` header."""
    if not text.isascii() or not text.isprintable() or " " in text or len(text) < 8:
        raise ValueError("must be at least 8 printable ASCII characters without spaces")
    return Secret(text)


def log_level(text: str) -> str:
    """The name of a `logging` level, in lower case."""
    if text.lower() not in {"debug", "info", "warning", "error"}:
        raise ValueError("must be debug, info, warning or error")
    return text.lower()


def log_format(text: str) -> str:
    """The format of log lines."""
    if text not in {"text", "json"}:
        raise ValueError("must be text or json")
    return text


def networks(name: str) -> Callable[[str], object]:
    """A parser of networks separated by commas."""
    return lambda text: parse_networks(text, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of the service."""

    #: The name; upper case in the environment variable, with dashes in the flag.
    name: str
    #: The form of a value.
    metavar: str
    #: The default text; None: the option is unset by default.
    default: str | None
    #: The effect when it is unset, for the docs.
    unset: str = ""
    #: One sentence.
    help: str
    #: Parses a text. Raises `ValueError` that says what the text must be.
    read: Callable[[str], object]
    #: A secret has no flag, because every user of the machine can see the flags of a process.
    is_secret: bool = False
    #: The suffix of the attribute of `Settings`.
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
        """The default as a text for people."""
        return self.unset if self.default is None else self.default

    def problem_with(self, text: str) -> str | None:
        """The problem with a text, or None."""
        try:
            self.read(text)
        except ValueError as exc:
            return str(exc)
        except InvalidInput as exc:
            return "; ".join(problem for _, problem in exc.problems) or str(exc)
        return None


OPTIONS: Final[tuple[Option, ...]] = (
    Option(name="host", metavar="HOST", default="127.0.0.1", read=host, help="Address to listen on."),
    Option(
        name="port",
        metavar="PORT",
        default="8080",
        read=integer(0, 65535),
        help="Port to listen on; 0 picks a free one.",
    ),
    Option(
        name="data_dir",
        metavar="DIR",
        default="./var",
        read=directory,
        help="Directory for everything that must survive a restart. Created if it does not exist.",
    ),
    Option(
        name="store",
        metavar="URL",
        default=None,
        unset="SQLite in the data directory",
        read=store,
        help="A PostgreSQL database for the ledger, like postgresql://user@host/database. Put a password into the "
        "variable or into PGPASSFILE: every user of the machine can see the flags of a process.",
    ),
    Option(
        name="ray_address",
        metavar="HOST:PORT",
        default=None,
        unset="a Ray that the service runs on this machine",
        read=address,
        help="A running Ray to join. It should require a token: then set Ray's variables RAY_AUTH_MODE=token and "
        "RAY_AUTH_TOKEN_PATH (a file with the token) for this service too.",
    ),
    Option(
        name="public_url",
        metavar="URL",
        default=None,
        unset="`http://HOST:PORT`",
        read=base_url,
        help="Base of the tracking URLs: the address at which mail recipients reach this service.",
    ),
    Option(
        name="admin_key",
        metavar="KEY",
        default=None,
        unset="created at the first start, in `admin.key` of the data directory",
        read=bearer_key,
        is_secret=True,
        help="Bearer key for /v1/accounts.",
    ),
    Option(
        name="master_key",
        metavar="HEX",
        default=None,
        unset="created at the first start, in `master.key` of the data directory",
        read=key,
        is_secret=True,
        help="Key from which all others are derived, 32 bytes in hexadecimal. It can never be changed.",
    ),
    Option(
        name="allowed_handler_networks",
        metavar="CIDR,…",
        default="",
        read=networks("allowed_handler_networks"),
        help="Private networks that handlers may be in, like 10.1.0.0/16.",
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
        help="Seconds that a handler has to answer one attempt.",
    ),
    Option(
        name="disable_after",
        unit="_s",
        metavar="S",
        default="432000",
        read=seconds(1, 366 * 24 * 3600),
        help="Seconds of uninterrupted failures after which a feedback loop is disabled.",
    ),
    Option(
        name="trusted_proxies",
        metavar="CIDR,…",
        default="",
        read=networks("trusted_proxies"),
        help="Networks of the proxies whose Forwarded or X-Forwarded-For header is trusted.",
    ),
    Option(
        name="enrichers",
        metavar="N",
        default="1",
        read=integer(1, 64),
        help="Number of enrichment actors that share the work.",
    ),
    Option(
        name="actor_budget",
        metavar="N",
        default=None,
        unset="as many as the memory and the cores of all machines can carry",
        read=integer(1, 100_000),
        help="Maximum number of processes for feedback loops, of about 60 MB each. Each loop gets its own process "
        "while there are enough; all further loops share processes.",
    ),
    Option(
        name="nameserver",
        metavar="IP:PORT",
        default=None,
        unset="the system's",
        read=literal_address,
        help="DNS server for verification records.",
    ),
    Option(
        name="journal_max_bytes",
        metavar="BYTES",
        default="1073741824",
        read=integer(16 << 20, 1 << 40),
        help="Maximum size of the journal, which keeps answered hits until they are in the ledger.",
    ),
    Option(
        name="keep_deliveries",
        unit="_days",
        metavar="DAYS",
        default="30",
        read=seconds(0, MAX_DAYS),
        help="Days for which delivered and dead deliveries are kept; 0: for ever.",
    ),
    Option(
        name="keep_attempts",
        unit="_days",
        metavar="DAYS",
        default="30",
        read=seconds(0, MAX_DAYS),
        help="Days for which attempts are kept; 0: as long as their deliveries.",
    ),
    Option(
        name="keep_events",
        unit="_days",
        metavar="DAYS",
        default="365",
        read=seconds(0, MAX_DAYS),
        help="Days for which events are kept; 0: for ever. An event is kept at least as long as its deliveries.",
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
        help="text (key=value) or json (one object per line).",
    ),
)


def text_of(value: Any) -> str | None:
    """The text of a value of `Settings`: the text it was parsed from, or an equivalent one."""
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
