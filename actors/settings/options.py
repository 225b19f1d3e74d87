"""Options of the service in one table; the reference page of all settings is generated from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from actors.settings import parsers
from actors.settings.certificates import authorities
from actors.settings.data_dir_watch import FileIdentity
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
    #: Whether an empty text is a value. For all other options it means that the option is not given.
    may_be_empty: bool = False
    #: Whether the flag has no value, and means `yes`.
    is_switch: bool = False
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

    def text(self, *candidates: str | None) -> str | None:
        """The first candidate that is given, or the default."""
        given = (text for text in candidates if text or (self.may_be_empty and text is not None))
        return next(given, self.default)

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
    Option(
        name="host",
        metavar="HOST",
        default="127.0.0.1",
        read=parsers.host,
        help="Address to listen on. Refused with an inherited socket (LISTEN_FDS), and so is the port.",
    ),
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
        default=None,
        unset="`$STATE_DIRECTORY` if set, else `./var` in a checkout, else `~/.local/state/feedback-loops`",
        read=parsers.directory,
        help="Directory for everything that must survive a restart, for this service alone. Created if it does not "
        "exist.",
    ),
    Option(
        name="no_init",
        metavar="",
        default="no",
        read=parsers.yes_or_no,
        is_switch=True,
        help="Refuse to start with an empty data directory, instead of making a new installation. For units: a volume "
        "that is not mounted is then no silent new start, in which no link that was sent works.",
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
        name="store_file",
        metavar="FILE",
        default=None,
        unset="`FEEDBACK_LOOPS_STORE`",
        read=parsers.file,
        help="A file with the URL of the store, like a mounted secret.",
    ),
    Option(
        name="ray_address",
        metavar="HOST:PORT",
        default=None,
        unset="a Ray that the service runs on this machine",
        read=parsers.address,
        help="A running Ray to join, which must require a token. Also set Ray's variables RAY_AUTH_MODE=token and "
        "RAY_AUTH_TOKEN_PATH (a file with the token) for this service.",
    ),
    Option(
        name="public_url",
        metavar="URL",
        default=None,
        unset="`http://HOST:PORT`",
        read=parsers.base_url,
        help="Base of the tracking URLs: the address at which mail recipients reach this service. No message can be "
        "registered while that is 0.0.0.0 or ::, or a loopback address although --host is none or there are "
        "trusted proxies.",
    ),
    Option(
        name="return_domain",
        metavar="DOMAIN",
        default=None,
        unset="messages get no `return_path`",
        read=parsers.domain,
        help="Domain of the return-path addresses, by which returned mail is matched to its message.",
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
        name="admin_key_file",
        metavar="FILE",
        default=None,
        unset="`FEEDBACK_LOOPS_ADMIN_KEY`",
        read=parsers.file,
        help="A file with the admin key, like a mounted secret.",
    ),
    Option(
        name="master_key",
        metavar="HEX",
        default=None,
        unset="created at the first start, in `master.key` of the data directory",
        read=parsers.key,
        is_secret=True,
        help="Key that wraps the installation's keys, 32 bytes in hexadecimal. A given one is never written to disk.",
    ),
    Option(
        name="master_key_file",
        metavar="FILE",
        default=None,
        unset="`master.key` in the data directory",
        read=parsers.file,
        help="A file with the master key, like a mounted secret. It is read again when it is needed.",
    ),
    Option(
        name="next_master_key_file",
        metavar="FILE",
        default=None,
        unset="`master.key.next` in the data directory",
        read=parsers.file,
        help="A file with the master key that is to replace the current one, for `keys rotate-master`.",
    ),
    Option(
        name="allowed_handler_networks",
        metavar="CIDR,…",
        default="",
        read=parsers.networks("allowed_handler_networks"),
        help="Private networks that handlers may be in, like 10.1.0.0/16.",
    ),
    Option(
        name="handler_ca_file",
        unit="_pem",
        metavar="FILE",
        default=None,
        unset="only the public ones",
        read=authorities,
        help="Certificate authorities to trust for handlers, in addition to the public ones: a PEM file, which is read "
        "at the start.",
    ),
    Option(
        name="retry_schedule",
        metavar="S,S,…",
        default="5,300,1800,7200,18000,36000,36000",
        read=RetrySchedule.parse,
        may_be_empty=True,
        help="Seconds before each retry of a delivery; `none` or empty: one attempt and no retries.",
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
        help="Seconds without a success after which a feedback loop is disabled. They only count while the loop is "
        "active and a failed delivery waits for its retry.",
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
        name="journal_reserve",
        unit="_bytes",
        metavar="BYTES",
        default="67108864",
        read=parsers.integer(0, 1 << 40),
        help="Bytes to keep allocated in the journal's file for hits that arrive while the disk is full, beyond "
        "--journal-max-bytes; in addition, 136 MiB for the hits in memory at a stop. 0: nothing is allocated ahead.",
    ),
    Option(
        name="erasures_file",
        metavar="FILE",
        default=None,
        unset="only `erasures.ndjson` in the data directory",
        read=parsers.file,
        help="A file for the erasures of people, one line each and without their addresses. With it, `restore` erases "
        "them again in an older backup, so keep it elsewhere than the data directory.",
    ),
    Option(
        name="spill_dir",
        metavar="DIR",
        default=None,
        unset="answered hits that a stop can't write to the journal are lost",
        read=parsers.lasting_directory,
        help="An existing directory on another disk for answered hits that a stop cannot write to the journal, because "
        "its disk is broken, or full beyond the reserve. The next start reads them.",
    ),
    Option(
        name="keep_ip",
        metavar="HOW",
        default="full",
        read=parsers.keep_ip,
        help="How much of a client's address is kept: full, truncated (the first address of its network, IPv4 /24 or "
        "IPv6 /48) or none.",
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
        name="keep_messages",
        unit="_days",
        metavar="DAYS",
        default="0",
        read=parsers.seconds(0, MAX_DAYS),
        help="Days for which messages are kept; 0: forever. A message is kept at least as long as its events. Links in "
        "older mail still redirect, but their hits are only counted.",
    ),
    Option(
        name="keep_mails",
        unit="_days",
        metavar="DAYS",
        default="30",
        read=parsers.seconds(0, MAX_DAYS),
        help="Days for which returned mails are kept; 0: as long as their events. A mail is kept as long as one of its "
        "deliveries is pending.",
    ),
    Option(
        name="keep_profile_history",
        unit="_days",
        metavar="DAYS",
        default="30",
        read=parsers.seconds(0, MAX_DAYS),
        help="Days for which former data of profiles is kept, from the time when it was replaced or deleted; 0: "
        "forever.",
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


#: Options that no settings file contains: `serve` gives each process those that it needs.
SECRETS: Final = ("admin_key", "master_key", "store")
#: Options with a file that may contain the value instead.
IN_FILES: Final = ("admin_key", "store")


def text_of(value: Any) -> str | None:
    """The text of a value of `Settings`: the text it was parsed from, or an equivalent one."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple) and not isinstance(value, FileIdentity):
        return ",".join(map(str, value))
    return str(value)
