"""Place of a PostgreSQL store: what of its URL may be shown and stored, and by which two stores are compared."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlsplit

#: Key of the store's place in the file of settings, which has no secrets.
STORE_PLACE: Final = "store_place"
_DEFAULT_PORT: Final = "5432"
#: Parameters of libpq that name another place.
_PLACE: Final = frozenset({"host", "hostaddr", "port", "user", "dbname"})


def store_place(url: str | None) -> str | None:
    """User, hosts and database of a valid URL, without passwords and other parameters; None for SQLite."""
    if url is None:
        return None
    parts = urlsplit(url)
    who, at, where = parts.netloc.rpartition("@")
    hosts = ",".join(_host(host) for host in where.lower().split(","))
    more = sorted(pair for pair in parse_qsl(parts.query) if pair[0] in _PLACE)
    return who.partition(":")[0] + at + hosts + parts.path + "".join(f" {name}={value}" for name, value in more)


def _host(host: str) -> str:
    has_port = ":" in host.rpartition("]")[2]
    return host if has_port or not host else f"{host}:{_DEFAULT_PORT}"
