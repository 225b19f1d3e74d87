"""Options of the service in one table; the reference page of all settings is generated from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from actors.settings import parsers
from domain.errors import InvalidInput
from domain.retry import RetrySchedule

ENV_PREFIX: Final = "FEEDBACK_LOOPS_"
MAX_DAYS: Final = 36_500


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
    Option(name="host", metavar="HOST", default="127.0.0.1", read=parsers.host, help="Address to listen on."),
    Option(
        name="port",
        metavar="PORT",
        default="8080",
        read=parsers.integer(0, 65535),
        help="Port to listen on; 0 picks a free one.",
    ),
    Option(
        name="data_dir",
        metavar="DIR",
        default="./var",
        read=parsers.directory,
        help="Directory for everything that must survive a restart. Created if it does not exist.",
    ),
    Option(
        name="store",
        metavar="URL",
        default=None,
        unset="SQLite in the data directory",
        read=parsers.store,
        help="A PostgreSQL database for the ledger, like postgresql://user@host/database. Put a password into the "
        "variable or into PGPASSFILE: every user of the machine can see the flags of a process.",
    ),
    Option(
        name="ray_address",
        metavar="HOST:PORT",
        default=None,
        unset="a Ray that the service runs on this machine",
        read=parsers.address,
        help="A running Ray to join. It should require a token. If it does, also set Ray's variables "
        "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH (a file with the token) for this service.",
    ),
    Option(
        name="public_url",
        metavar="URL",
        default=None,
        unset="`http://HOST:PORT`",
        read=parsers.base_url,
        help="Base of the tracking URLs: the address at which mail recipients reach this service.",
    ),
    Option(
        name="admin_key",
        metavar="KEY",
        default=None,
        unset="created at the first start, in `admin.key` of the data directory",
        read=parsers.bearer_key,
        is_secret=True,
        help="Bearer key for /v1/accounts and /v1/users.",
    ),
    Option(
        name="master_key",
        metavar="HEX",
        default=None,
        unset="created at the first start, in `master.key` of the data directory",
        read=parsers.key,
        is_secret=True,
        help="Key from which all others are derived, 32 bytes in hexadecimal. It can never be changed.",
    ),
    Option(
        name="allowed_handler_networks",
        metavar="CIDR,…",
        default="",
        read=parsers.networks("allowed_handler_networks"),
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
        read=parsers.seconds(0.1, 300),
        help="Seconds that a handler has to answer one attempt.",
    ),
    Option(
        name="disable_after",
        unit="_s",
        metavar="S",
        default="432000",
        read=parsers.seconds(1, 366 * 24 * 3600),
        help="Seconds of uninterrupted failures after which a feedback loop is disabled.",
    ),
    Option(
        name="trusted_proxies",
        metavar="CIDR,…",
        default="",
        read=parsers.networks("trusted_proxies"),
        help="Networks of the proxies whose Forwarded or X-Forwarded-For header is trusted.",
    ),
    Option(
        name="enrichers",
        metavar="N",
        default="1",
        read=parsers.integer(1, 64),
        help="Number of enrichment actors that share the work.",
    ),
    Option(
        name="actor_budget",
        metavar="N",
        default=None,
        unset="as many as the memory and the cores of all machines can carry",
        read=parsers.integer(1, 100_000),
        help="Maximum number of processes for feedback loops, of about 60 MB each. The oldest loops get their own "
        "process; all others share processes.",
    ),
    Option(
        name="nameserver",
        metavar="IP:PORT",
        default=None,
        unset="the system's",
        read=parsers.literal_address,
        help="DNS server for verification records.",
    ),
    Option(
        name="journal_max_bytes",
        metavar="BYTES",
        default="1073741824",
        read=parsers.integer(16 << 20, 1 << 40),
        help="Maximum size of the journal, which keeps answered hits until they are in the ledger.",
    ),
    Option(
        name="keep_deliveries",
        unit="_days",
        metavar="DAYS",
        default="30",
        read=parsers.seconds(0, MAX_DAYS),
        help="Days for which delivered and dead deliveries are kept; 0: forever.",
    ),
    Option(
        name="keep_attempts",
        unit="_days",
        metavar="DAYS",
        default="30",
        read=parsers.seconds(0, MAX_DAYS),
        help="Days for which attempts are kept; 0: as long as their deliveries.",
    ),
    Option(
        name="keep_events",
        unit="_days",
        metavar="DAYS",
        default="365",
        read=parsers.seconds(0, MAX_DAYS),
        help="Days for which events are kept; 0: forever. An event is kept at least as long as its deliveries.",
    ),
    Option(
        name="log_level",
        metavar="LEVEL",
        default="info",
        read=parsers.log_level,
        help="debug, info, warning or error.",
    ),
    Option(
        name="log_format",
        metavar="FORMAT",
        default="text",
        read=parsers.log_format,
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
