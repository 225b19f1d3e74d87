"""Settings: read from flags and environment once, checked whole, and frozen. Nothing else reads the environment.

The options themselves, their meaning and their defaults are in `actors.settings.options`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Final, Self

from actors.settings.data_dir import short_dir
from actors.settings.options import ENV_PREFIX, OPTIONS, Option, Secret, text_of
from domain.errors import InvalidInput
from domain.retry import RetrySchedule

__all__ = ["OPTIONS", "Option", "Secret", "Settings"]

Networks = tuple[IPv4Network | IPv6Network, ...]

#: A Unix socket's path has at most 107 bytes.
MAX_SOCKET_PATH_BYTES: Final = 107
#: Variables of ours that are no options: marks by which processes are found, and what the commands that talk to a
#: running service are told.
MARKS: Final = frozenset(ENV_PREFIX + name for name in ("RAY", "TEST_RUN", "URL", "API_KEY"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every option's value. Units are in the names."""

    host: str
    port: int
    data_dir: Path
    #: May hold a password.
    store: str | None = field(repr=False)
    ray_address: str | None
    public_url: str
    #: None, and empty, until `with_keys`.
    admin_key: Secret | None
    master_key: bytes = field(repr=False)
    allowed_handler_networks: Networks
    retry_schedule: RetrySchedule
    delivery_timeout_s: float
    disable_after_s: float
    trusted_proxies: Networks
    enrichers: int
    #: None: what the nodes carry.
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
        """Flags over environment over defaults. `flags` are texts by the options' names; None and "" are not given.

        Raises:
            InvalidInput: with a problem for each value that is wrong and each variable that is no option's.
        """
        texts = {
            option.name: flags.get(option.name) or env.get(option.variable) or option.default for option in OPTIONS
        }
        strange = sorted(set(flags) - {option.name for option in OPTIONS})
        strange += sorted(n for n in env if n.startswith(ENV_PREFIX) and n not in _VARIABLES | MARKS)
        return cls._read(texts, [(name, "is not an option; see `feedback-loops serve --help`") for name in strange])

    @classmethod
    def from_dict(cls, plain: Mapping[str, str | None]) -> Self:
        """The settings that `to_dict` took apart; another version's may have other options, and lack some of ours."""
        return cls._read(plain, [])

    def to_dict(self) -> dict[str, str | None]:
        """The options' texts by name, secrets included: how settings reach this installation's other processes.

        Raises:
            ValueError: before `with_keys`; no process may work without keys.
        """
        if not self.master_key or not self.admin_key:
            raise ValueError("the settings have no keys yet: the keeper takes them from the data directory")
        return {option.name: text_of(getattr(self, option.attribute)) for option in OPTIONS}

    def with_keys(self, master_key: bytes, admin_key: Secret) -> Self:
        """The same with the keys of the installation."""
        return replace(self, master_key=master_key, admin_key=admin_key)

    def bound_to(self, port: int) -> Self:
        """The same with the port that was taken; it differs where port 0 was asked for."""
        public_url = self.public_url
        if public_url == _own_url(self.host, self.port):
            public_url = _own_url(self.host, port)
        return replace(self, port=port, public_url=public_url)

    @property
    def gateway_socket(self) -> Path:
        """Where the gateway listens: in the data directory, or where the path is short enough for a socket."""
        usual = self.data_dir / "run" / "gateway.sock"
        fits = len(os.fsencode(usual)) <= MAX_SOCKET_PATH_BYTES
        return usual if fits else short_dir(self.data_dir) / "gateway.sock"

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
