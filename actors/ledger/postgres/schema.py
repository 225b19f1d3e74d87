"""Schema version of a PostgreSQL ledger, and its migration to this program's version.

The table `ledger_schema` holds the version, a mark of our series of versions (`series`), and the oldest version that a
program must know to use it (`min_version`).
Programs of two versions share a ledger during a cluster upgrade: as long as newer migrations only add (`-- only adds`),
the older program keeps working. A migration that only adds gives each new column a default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from psycopg import ClientCursor, Connection
from psycopg.rows import tuple_row

from actors.ledger.migrations import Migration, check_current, load_migrations, refuse_newer, series_mark, unreleased
from domain.errors import StoreError, StoreUnavailable

MIGRATIONS: Final = load_migrations("actors.ledger.postgres.migrations")
SCHEMA_VERSION: Final = MIGRATIONS[-1].version
SERIES: Final = series_mark(MIGRATIONS)

#: An advisory lock for migrations: of two programs that start together, the second finds the work done.
_LOCK: Final = 0x6665_6564_6C6F_6F70
_VERSION: Final = "SELECT version FROM ledger_schema"
_SERIES: Final = "SELECT series FROM ledger_schema"
_MIN_VERSION: Final = "SELECT min_version FROM ledger_schema"
# Whether `ledger_schema` has the column `series`, which some development versions before 0.2.0 lacked; NULL if there is
# no such table. `to_regclass` would not do: it reads a cache that may miss what another session has just committed.
_IS_OURS: Final = (
    "SELECT bool_or(a.attname = 'series') FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid"
    " WHERE c.relname = 'ledger_schema' AND c.relnamespace = current_schema()::regnamespace"
)
_NEW: Final = (
    "CREATE TABLE ledger_schema (version integer NOT NULL, min_version integer NOT NULL, series integer NOT NULL);"  # noqa: S608 - a number
    f" INSERT INTO ledger_schema VALUES (0, 0, {SERIES})"
)
_FOREIGN: Final = """
    SELECT c.relname FROM pg_class AS c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND c.relname NOT IN ('installation', 'front_ends')  -- created before the ledger: actors.ledger.key_ring_store
      AND NOT EXISTS (SELECT 1 FROM pg_depend AS d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY c.relname LIMIT 3
"""


def recorded_version(connection: Connection[Any]) -> int:
    """The version as recorded: 0 if the database is new, the negated version while a ledger is being imported.

    Raises:
        StoreError: an unreleased version made the schema.
    """
    is_ours = _value(connection, _IS_OURS)
    if is_ours is None:
        return 0
    if not is_ours or _value(connection, _SERIES) != SERIES:
        raise unreleased("Name an empty database with --store (FEEDBACK_LOOPS_STORE).")
    return int(_value(connection, _VERSION))


def record_version(connection: Connection[Any], version: int) -> None:
    """Records a version; a negative one means that an import is in progress, so that no service uses the schema."""
    _cursor(connection).execute(f"UPDATE ledger_schema SET version = {int(version)}")  # noqa: S608 - a number


def schema_version(connection: Connection[Any]) -> int:
    """The schema version of the database; 0 if it is new.

    Raises:
        StoreError: an unreleased version made the schema.
        StoreUnavailable: an import into this database has not finished.
    """
    version = recorded_version(connection)
    if version < 0:
        raise StoreUnavailable(
            "a ledger is being moved into this store: wait until `feedback-loops migrate` has finished, or run it again"
        )
    return version


def migrate(connection: Connection[Any], migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Migrates the database to the newest version, one transaction per version.

    Raises:
        StoreError: a newer program, an unreleased version or another application made the schema, which is left
            unchanged.
        psycopg.Error: a migration failed; the database stays at the version before it.
    """
    newest = migrations[-1].version
    for migration in migrations:
        version = schema_version(connection)
        refuse_newer(_required_version(connection, version, newest), newest)
        if version < migration.version:
            _apply(connection, migration)


def check_readable(connection: Connection[Any]) -> None:
    """Refuses a database that this program cannot read.

    Raises:
        StoreError: a newer program that did more than add, or an unreleased version, made the schema.
        NotMigrated: the writer has not migrated the database yet.
    """
    version = schema_version(connection)
    check_current(min(version, _required_version(connection, version, SCHEMA_VERSION)), SCHEMA_VERSION)


def _required_version(connection: Connection[Any], version: int, newest: int) -> int:
    """The version that a program must know to use a database of this version; at least `newest` if it is newer."""
    return version if version <= newest else max(int(_value(connection, _MIN_VERSION)), newest)


def _apply(connection: Connection[Any], migration: Migration) -> None:
    with connection.transaction():
        _cursor(connection).execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        version = schema_version(connection)
        if version >= migration.version:  # another process has just applied it
            return
        if version == 0:
            refuse_foreign(connection)
            _cursor(connection).execute(_NEW)
        changes = f"version = {migration.version}"
        if not migration.only_adds:
            changes += f", min_version = {migration.version}"
        _cursor(connection).execute(f"{migration.script}; UPDATE ledger_schema SET {changes}")  # noqa: S608 - numbers


def refuse_foreign(connection: Connection[Any]) -> None:
    """Refuses a database with tables of another application.

    Raises:
        StoreError: it has some.
    """
    found = [name for (name,) in _cursor(connection).execute(_FOREIGN).fetchall()]
    if found:
        raise StoreError(
            f"The store holds tables of another application ({', '.join(found)}, …). Name an empty database with "
            "--store (FEEDBACK_LOOPS_STORE), or an empty schema by `?options=-csearch_path%3DNAME` at its end."
        )


def _cursor(connection: Connection[Any]) -> Any:
    """A cursor for scripts of several statements, which prepares nothing, on any kind of connection."""
    return ClientCursor(connection, row_factory=tuple_row)


def _value(connection: Connection[Any], query: str) -> Any:
    row = _cursor(connection).execute(query).fetchone()
    if row is None:
        raise StoreError("the ledger's schema has no version: restore the database from a backup")
    return row[0]
