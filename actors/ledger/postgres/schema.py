"""The schema's version, kept in a table of its own, and the way from any version to this one.

A program works with a newer schema too, as long as all that came after its own was added (`-- only adds`): programs of
two versions share a ledger while a cluster is upgraded. What only adds gives each new column a default.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final, NamedTuple

from psycopg import ClientCursor, Connection
from psycopg.rows import tuple_row

from actors.ledger.migrations import check_current, refuse_newer
from domain.errors import StoreError, StoreUnavailable

#: The lock under which schemas are changed: of two programs that start at once the second finds it done.
_LOCK: Final = 0x6665_6564_6C6F_6F70
_VERSION: Final = "SELECT version FROM ledger_schema"
# Not `to_regclass`: it answers from a cache, which what another session has committed may not have reached yet.
_IS_THERE: Final = (
    "SELECT EXISTS (SELECT 1 FROM pg_class"
    " WHERE relname = 'ledger_schema' AND relnamespace = current_schema()::regnamespace)"
)
_NEEDS: Final = "SELECT needs FROM ledger_schema"
_NEW: Final = "CREATE TABLE ledger_schema (version integer NOT NULL); INSERT INTO ledger_schema VALUES (0)"
_FOREIGN: Final = """
    SELECT c.relname FROM pg_class AS c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND NOT EXISTS (SELECT 1 FROM pg_depend AS d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY c.relname LIMIT 3
"""


#: The version from which on a schema says what it needs.
SAYS_NEEDS: Final = 4
#: A version below this is of a ledger that is being moved here: its number is the schema's, negative.
MOVING: Final = 0


class Migration(NamedTuple):
    """SQL that brings the schema from `version - 1` to `version`."""

    version: int
    script: str

    @property
    def only_adds(self) -> bool:
        """Whether programs that do not know it go on as before."""
        return re.search(r"^-- only adds$", self.script, re.MULTILINE) is not None


def load_migrations() -> list[Migration]:
    """The migrations that come with this program, first to last, without a gap."""
    found = files("actors.ledger.postgres.migrations").iterdir()
    named = [(re.fullmatch(r"(\d{4})_\w+\.sql", f.name), f) for f in found]
    migrations = sorted(Migration(int(m[1]), f.read_text()) for m, f in named if m)
    if [m.version for m in migrations] != list(range(1, len(migrations) + 1)):
        raise RuntimeError(f"migrations are missing: there are {[m.version for m in migrations]}")
    return migrations


MIGRATIONS: Final = tuple(load_migrations())
SCHEMA_VERSION: Final = MIGRATIONS[-1].version


def raw_version(connection: Connection[Any]) -> int:
    """The version of the database, 0 when it is new, negative while a ledger is being moved there."""
    if not _value(connection, _IS_THERE):
        return 0
    return int(_value(connection, _VERSION))


def set_version(connection: Connection[Any], version: int) -> None:
    """Says which version the database is of."""
    _cursor(connection).execute(f"UPDATE ledger_schema SET version = {int(version)}")  # noqa: S608 - a number


def schema_version(connection: Connection[Any]) -> int:
    """The version of the database, 0 when it is new.

    Raises:
        StoreUnavailable: a ledger is being moved there, and not all of it is.
    """
    version = raw_version(connection)
    if version < MOVING:
        raise StoreUnavailable(
            "a ledger is being moved into this store: let `feedback-loops migrate` come to its end, or start it again"
        )
    return version


def migrate(connection: Connection[Any], migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Brings the database to the last version, each step in one transaction. Does nothing when it is there already.

    Raises:
        StoreError: the database was written by a newer program, or is somebody else's; it is left as it is.
        psycopg.Error: a step failed; the database is at the version before it.
    """
    newest = migrations[-1].version
    for migration in migrations:
        version = schema_version(connection)
        refuse_newer(_needed(connection, version, newest), newest)
        if version < migration.version:
            _step(connection, migration)


def check_readable(connection: Connection[Any]) -> None:
    """Returns when the database has the version that this program reads.

    Raises:
        StoreError: it was written by a newer program.
        StoreUnavailable: the writer has not brought it to this version yet.
    """
    version = schema_version(connection)
    check_current(min(version, _needed(connection, version, SCHEMA_VERSION)), SCHEMA_VERSION)


def _needed(connection: Connection[Any], version: int, newest: int) -> int:
    """The schema that a program must know to work with one of that version: of a newer one, what it says itself."""
    return version if version <= newest else max(int(_value(connection, _NEEDS)), newest)


def _step(connection: Connection[Any], migration: Migration) -> None:
    with connection.transaction():
        _cursor(connection).execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        version = schema_version(connection)
        if version >= migration.version:  # another process was quicker
            return
        if version == 0:
            _refuse_foreign(connection)
            _cursor(connection).execute(_NEW)
        said = f"version = {migration.version}"
        if migration.version >= SAYS_NEEDS and not migration.only_adds:
            said += f", needs = {migration.version}"
        _cursor(connection).execute(f"{migration.script}; UPDATE ledger_schema SET {said}")  # noqa: S608 - numbers of ours


def _refuse_foreign(connection: Connection[Any]) -> None:
    found = [name for (name,) in _cursor(connection).execute(_FOREIGN).fetchall()]
    if found:
        raise StoreError(
            f"The store holds something else ({', '.join(found)}, …). Name an empty database with --store "
            "(FEEDBACK_LOOPS_STORE), or an empty schema by `?options=-csearch_path%3DNAME` at its end."
        )


def _cursor(connection: Connection[Any]) -> Any:
    """For scripts of several statements; prepares nothing, and is the same whoever made the connection."""
    return ClientCursor(connection, row_factory=tuple_row)


def _value(connection: Connection[Any], query: str) -> Any:
    row = _cursor(connection).execute(query).fetchone()
    if row is None:
        raise StoreError("the ledger's schema has no version: restore the database from a back-up")
    return row[0]
