"""Settings of the service, read once from flags and environment. Nothing else reads the environment.

`actors.settings.options` defines the options with their meanings and defaults.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Final, Self

from actors.settings.data_dir import runtime_dir_path
from actors.settings.options import ENV_PREFIX, OPTIONS, Option, text_of
from actors.settings.parsers import Secret
from domain.errors import InvalidInput
from domain.retry import RetrySchedule

Networks = tuple[IPv4Network | IPv6Network, ...]

#: A Unix socket's path has at most 107 bytes.
MAX_SOCKET_PATH_BYTES: Final = 107
#: Variables with our prefix that are not options: marks of processes, and settings of the command line's client.
MARKS: Final = frozenset(ENV_PREFIX + name for name in ("RAY", "TEST_RUN", "URL", "API_KEY"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The value of every option. Names include units."""

    host: str
    port: int
    data_dir: Path
    #: May hold a password.
    store: str | None = field(repr=False)
    ray_address: str | None
    public_url: str
    #: None until `with_keys`, and `master_key` is empty until then.
    admin_key: Secret | None
    master_key: bytes = field(repr=False)
    allowed_handler_networks: Networks
    retry_schedule: RetrySchedule
    delivery_timeout_s: float
    disable_after_s: float
    trusted_proxies: Networks
    enrichers: int
    #: None: as many as the nodes can carry.
    actor_budget: int | None
    nameserver: str | None
    journal_max_bytes: int
    keep_deliveries_days: float
    keep_attempts_days: float
    keep_events_days: float
    log_level: str
    log_format: str

    @classmethod
    def from_env(cls, env: Mapping[str, str], **flags: str | None) -> Self:
        """The settings from flags, environment and defaults, in this order of precedence.

        Args:
            env: The environment.
            flags: Texts by the names of the options. None and "" count as not set.

        Raises:
            InvalidInput: a value is not valid, or a variable is not an option; it lists all problems.
        """
        texts = {
            option.name: flags.get(option.name) or env.get(option.variable) or option.default for option in OPTIONS
        }
        strange = sorted(set(flags) - {option.name for option in OPTIONS})
        strange += sorted(n for n in env if n.startswith(ENV_PREFIX) and n not in _VARIABLES | MARKS)
        return cls._read(texts, [(name, "is not an option; see `feedback-loops serve --help`") for name in strange])

    @classmethod
    def from_dict(cls, plain: Mapping[str, str | None]) -> Self:
        """The settings from the result of `to_dict`, which may be another version's with more or fewer options."""
        return cls._read(plain, [])

    def to_dict(self) -> dict[str, str | None]:
        """The texts of the options by name, including secrets, for the other processes of this installation.

        Raises:
            ValueError: the settings have no keys yet.
        """
        if not self.master_key or not self.admin_key:
            raise ValueError("the settings have no keys yet: the `serve` process reads them from the data directory")
        return {option.name: text_of(getattr(self, option.attribute)) for option in OPTIONS}

    def with_keys(self, master_key: bytes, admin_key: Secret) -> Self:
        """The settings with the keys of the installation."""
        return replace(self, master_key=master_key, admin_key=admin_key)

    def bound_to(self, port: int) -> Self:
        """The settings with the port that is in use; it differs from the option if that is 0."""
        public_url = self.public_url
        if public_url == _own_url(self.host, self.port):
            public_url = _own_url(self.host, port)
        return replace(self, port=port, public_url=public_url)

    @property
    def gateway_socket(self) -> Path:
        """The gateway's socket: in the data directory, or in the runtime directory if that path is too long."""
        usual = self.data_dir / "run" / "gateway.sock"
        fits = len(os.fsencode(usual)) <= MAX_SOCKET_PATH_BYTES
        return usual if fits else runtime_dir_path(self.data_dir) / "gateway.sock"

    @classmethod
    def _read(cls, texts: Mapping[str, str | None], problems: list[tuple[str, str]]) -> Self:
        values: dict[str, Any] = {}
        for option in OPTIONS:
            text = texts.get(option.name) or option.default
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


_VARIABLES: Final = frozenset(option.variable for option in OPTIONS)


def _names(option: Option) -> str:
    return f"{option.flag} ({option.variable})" if option.flag else option.variable


def _own_url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
