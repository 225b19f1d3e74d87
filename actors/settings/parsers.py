"""Parsers of options: from a text to a value. Each raises `ValueError` that says what the text must be."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from math import isfinite
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from domain.handler_policy import parse_networks
from domain.kept_ip import KeepIp

#: Leaves room for the local part of an address (RFC 5321, section 4.5.3.1).
MAX_DOMAIN_CHARS: Final = 200
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

KEY_BYTES: Final = 32
_TEMPORARY: Final = frozenset(map(Path, ("/", "/tmp", "/var/tmp", "/dev/shm", "/run")))  # noqa: S108


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


def yes_or_no(text: str) -> bool:
    """A switch."""
    values = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if text.lower() not in values:
        raise ValueError("must be yes or no")
    return values[text.lower()]


def file(text: str) -> Path:
    """A file, which need not exist yet: a path like that of a directory."""
    return directory(text)


def directory(text: str) -> Path:
    """A path, made absolute, with `~` expanded."""
    if "\0" in text:
        raise ValueError("must be a path")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:  # there is no such user
        raise ValueError("must be a path; `~NAME` is the home directory of a user that exists") from None


def lasting_directory(text: str) -> Path:
    """A directory that survives a restart of the machine and belongs to no other program."""
    path = directory(text)
    if path in _TEMPORARY:
        raise ValueError("must be a directory of its own, and not one for temporary files")
    return path


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


def domain(text: str) -> str:
    """The domain of mail addresses, in lower case."""
    labels = text.lower().removesuffix(".").split(".")
    is_short = len(text) <= MAX_DOMAIN_CHARS
    if not is_short or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("must be a domain like return.example.com; write an international one as xn--…")
    return ".".join(labels)


def store(text: str) -> str:
    """The URL of the ledger's database."""
    if urlsplit(text).scheme not in {"postgresql", "postgres"}:
        raise ValueError("must be a URL like postgresql://user:password@host/database")
    return text


def address(text: str) -> str:
    """`host:port`."""
    name, colon, number = text.rpartition(":")
    if not colon or not name.strip("[]") or not (number.isascii() and number.isdigit()) or not 0 < int(number) <= 65535:
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


def keep_ip(text: str) -> KeepIp:
    """How much of a client's address is kept."""
    try:
        return KeepIp(text.lower())
    except ValueError:
        raise ValueError("must be full, truncated or none") from None


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
