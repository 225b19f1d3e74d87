"""Settings of the service, read once from flags and environment. Nothing else reads the environment.

`actors.settings.options` defines the options with their meanings and defaults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

from actors.settings.data_dir import gateway_socket_path
from actors.settings.data_dir_watch import DataDirWatch, FileIdentity
from actors.settings.default_data_dir import choose_data_dir
from actors.settings.kubernetes import without_service_variables
from actors.settings.options import ENV_PREFIX, IN_FILES, OPTIONS, SECRETS, Option, text_of
from actors.settings.parsers import Secret
from domain.errors import InvalidInput
from domain.kept_ip import KeepIp
from domain.public_url import public_url_problem
from domain.retry import RetrySchedule

#: Keys in `Settings.to_dict`, next to the names of options.
DATA_DIR_LOCK: Final = "data_dir_lock"
INSTANCE: Final = "instance"

Networks = tuple[IPv4Network | IPv6Network, ...]

#: libpq's variable. No child process inherits it, so its value becomes a part of the store's URL.
PASSWORD_VARIABLE: Final = "PGPASSWORD"  # noqa: S105 - a name
#: Variables with our prefix that are not options: marks of processes, and settings of the command line's client.
MARKS: Final = frozenset(ENV_PREFIX + name for name in ("RAY", "TEST_RUN", "URL", "API_KEY"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The value of every option. Names include units."""

    host: str
    port: int
    data_dir: Path
    no_init: bool
    #: May hold a password.
    store: str | None = field(repr=False)
    store_file: Path | None
    ray_address: str | None
    public_url: str
    return_domain: str | None
    #: None until `with_admin_key`, and in processes that do not need it.
    admin_key: Secret | None
    admin_key_file: Path | None
    #: Empty if it is in a file (`actors.installation.master_key`), and in processes that do not need it.
    master_key: bytes = field(repr=False)
    master_key_file: Path | None
    next_master_key_file: Path | None
    allowed_handler_networks: Networks
    #: The certificates in the file. None: no further authorities are trusted.
    handler_ca_file_pem: str | None = field(repr=False)
    retry_schedule: RetrySchedule
    delivery_timeout_s: float
    disable_after_s: float
    trusted_proxies: Networks
    enrichers: int
    #: None: as many as the nodes can carry.
    actor_budget: int | None
    nameserver: str | None
    journal_max_bytes: int
    journal_reserve_bytes: int
    erasures_file: Path | None
    spill_dir: Path | None
    keep_ip: KeepIp
    keep_deliveries_days: float
    keep_attempts_days: float
    keep_events_days: float
    keep_messages_days: float
    keep_mails_days: float
    keep_profile_history_days: float
    log_level: str
    log_format: str
    #: No option: the lock file of the data directory, once `serve` has locked it.
    data_dir_lock: FileIdentity | None = None
    #: No option: a random name of this run of `serve`, by which `doctor` recognises it.
    instance: str | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str], **flags: str | None) -> Self:
        """The settings from flags, environment and defaults, in this order of precedence.

        Args:
            env: The environment.
            flags: Texts by the names of the options. None counts as not given, and "" too for most options.

        Raises:
            InvalidInput: a value is not valid, or a variable is not an option; it lists all problems.
        """
        env = without_service_variables(env)
        texts = {option.name: option.text(flags.get(option.name), env.get(option.variable)) for option in OPTIONS}
        unclear: list[tuple[str, str]] = []
        try:
            texts["data_dir"] = str(choose_data_dir(env, flags.get("data_dir")).path)
        except InvalidInput as exc:
            unclear = exc.problems
        unclear += _read_files(texts)
        if texts["store"] and env.get(PASSWORD_VARIABLE):
            texts["store"] = _with_password(texts["store"], env[PASSWORD_VARIABLE])
        strange = sorted(set(flags) - {option.name for option in OPTIONS})
        strange += sorted(n for n in env if n.startswith(ENV_PREFIX) and n not in _VARIABLES | MARKS)
        unknown = [(name, "is not an option; see `feedback-loops serve --help`") for name in strange]
        return cls._read(texts, unclear + unknown)

    @classmethod
    def from_dict(cls, plain: Mapping[str, str | None]) -> Self:
        """The settings from the result of `to_dict`, which may be another version's with more or fewer options."""
        settings = replace(cls._read(plain, []), instance=plain.get(INSTANCE))
        lock = plain.get(DATA_DIR_LOCK)
        return settings if lock is None else settings.with_lock(FileIdentity.read(lock))

    def to_dict(self) -> dict[str, str | None]:
        """The texts of the options by name, without secrets, for the other processes of this installation."""
        shared = (option for option in OPTIONS if option.name not in SECRETS)
        texts = {option.name: text_of(getattr(self, option.attribute)) for option in shared}
        return texts | {DATA_DIR_LOCK: text_of(self.data_dir_lock), INSTANCE: self.instance}

    def secrets(self, names: Iterable[str]) -> dict[str, str | None]:
        """The texts of secret options (`SECRETS`), for a process that needs them."""
        return {name: text_of(getattr(self, name)) or None for name in names}

    def with_lock(self, lock: FileIdentity) -> Self:
        """The settings with the lock file of the data directory."""
        return replace(self, data_dir_lock=lock)

    def with_instance(self, instance: str) -> Self:
        """The settings with the name of this run of `serve`."""
        return replace(self, instance=instance)

    def watch(self) -> DataDirWatch:
        """A watch on the data directory, for one process."""
        return DataDirWatch(self.data_dir, self.data_dir_lock)

    def with_admin_key(self, admin_key: Secret) -> Self:
        """The settings with the admin key of the installation."""
        return replace(self, admin_key=admin_key)

    def bound_to(self, port: int) -> Self:
        """The settings with the port that is in use; it differs from the option if that is 0."""
        public_url = self.public_url
        if public_url == _own_url(self.host, self.port):
            public_url = _own_url(self.host, port)
        return replace(self, port=port, public_url=public_url)

    @property
    def public_url_problem(self) -> str | None:
        """Why recipients cannot reach the public URL, or None."""
        return public_url_problem(self.public_url, self.host, is_behind_proxy=bool(self.trusted_proxies))

    @property
    def gateway_socket(self) -> Path:
        """The gateway's socket."""
        return gateway_socket_path(self.data_dir)

    @classmethod
    def _read(cls, texts: Mapping[str, str | None], problems: list[tuple[str, str]]) -> Self:
        values: dict[str, Any] = {}
        for option in OPTIONS:
            text = option.text(texts.get(option.name))
            problem = None if text is None else option.problem_with(text)
            if problem is not None:
                problems.append((_names(option), problem))
            elif not problems:
                values[option.attribute] = None if text is None else option.read(text)
        if problems:
            raise InvalidInput("\n".join(f"{name} {problem}" for name, problem in problems), problems)
        values["master_key"] = values["master_key"] or b""
        values["public_url"] = values["public_url"] or _own_url(values["host"], values["port"])
        return cls(**values)


_BY_NAME: Final = {option.name: option for option in OPTIONS}
_VARIABLES: Final = frozenset(option.variable for option in OPTIONS)


def _read_files(texts: dict[str, str | None]) -> list[tuple[str, str]]:
    """Reads the values that are in files of their own into `texts`. Returns the problems."""
    problems = []
    for name in IN_FILES:
        option, path = _BY_NAME[f"{name}_file"], texts[f"{name}_file"]
        if path is None:
            continue
        if texts[name] is not None:
            problems.append((_names(option), f"cannot be given together with {_BY_NAME[name].variable}"))
            continue
        try:
            texts[name] = Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as exc:
            problems.append((_names(option), f"cannot be read: {getattr(exc, 'strerror', None) or exc}"))
    if texts["master_key"] is not None and texts["master_key_file"] is not None:
        problem = f"cannot be given together with {_BY_NAME['master_key'].variable}"
        problems.append((_names(_BY_NAME["master_key_file"]), problem))
    return problems


def _with_password(url: str, password: str) -> str:
    """The URL with the password, unless it has one."""
    parts = urlsplit(url)
    if parts.password is not None or "password=" in parts.query:
        return url
    return parts._replace(query=f"{parts.query}&password={quote(password, safe='')}".lstrip("&")).geturl()


def _names(option: Option) -> str:
    return f"{option.flag} ({option.variable})" if option.flag else option.variable


def _own_url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
