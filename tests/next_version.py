"""Fake next version of the program: a copy of the working tree with all changes that `actors.compatibility` allows.

Every message between processes has a new field; the intake has a new kind of entry; there is a new option, a new bucket
of a metric, and a new migration of each store. To run it, put the copy on `PYTHONPATH`, which precedes the installed
version.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

NEXT_VERSION = "99.0"
PACKAGES = ("actors", "api", "domain")
#: A new field of a named tuple, a struct or a dataclass.
FIELD = '    novelty: str = "new"\n'
#: A kind of intake that only the next version knows.
NOVELTY = "class Novelty(NamedTuple):\n    event_id: bytes\n\n\n"
VARIANT = "class _Novelty(msgspec.Struct, array_like=True, tag=99, frozen=True):\n    entry: Novelty\n"
#: A file, a text in it, and the text that the next version inserts after it.
ADDED = (
    ("domain/tracking.py", "    purpose: str\n", f"{FIELD}\n\n{NOVELTY}"),
    ("domain/tracking.py", "Intake: TypeAlias = TrackingHit | Report | ReturnedMailEntry", " | Novelty"),
    ("actors/commands/intake.py", "import Intake, TrackingHit", ", Novelty"),
    ("actors/commands/intake.py", "    entry: TrackingHit\n", f"\n\n{VARIANT}"),
    ("actors/commands/intake.py", "_Variant = _Hit | _Report | _ReturnedMail", " | _Novelty"),
    ("actors/commands/intake.py", "_VARIANTS: Final = (_Hit, _Report, _ReturnedMail", ", _Novelty"),
    ("domain/tracking.py", "    mime: str | None = None\n", FIELD),
    ("domain/tracking.py", "    is_truncated: bool = False\n", FIELD),
    ("domain/tracking.py", "    repeated_reports: tuple[int, ...] = ()\n", FIELD),
    ("domain/reports/intake.py", "    body: bytes\n", FIELD),
    ("domain/reports/intake.py", '    spool: str = ""\n', FIELD),
    ("actors/ray_runtime/remote_ports.py", "    reports: Sequence[ReportToRecord] = ()\n", FIELD),
    ("domain/delivery.py", "see `AttemptOutcome.forgiven`.\n    forgiven: int = 0\n", FIELD),
    ("domain/delivery.py", '    response_headers: str = ""\n', FIELD),
    ("actors/loops/orders.py", "    node: str\n    loops: list[str]\n", FIELD),
    ("actors/loops/orders.py", "    supervisor: str\n    sequence: int\n", FIELD),
    ("actors/loops/location_registry.py", "    locations: dict[str, list[str]]\n", FIELD),
    ("actors/metrics/snapshots.py", '    version: str = ""\n', FIELD),
    ("actors/metrics/catalogue.py", "_COMMIT_S: Final = (", "0.0001, "),
    ("actors/commands/loops.py", "    disabled_reason: str | None\n", FIELD),
    (
        "domain/loop_settings.py",
        "    # New settings go here, each with a default.\n",
        '    novelty: str = field(default="new", metadata=_row(Text(100), "New."))\n',
    ),
    ("actors/ray_runtime/deployment.py", "    options: dict[str, str]\n", FIELD),
    ("actors/settings/__init__.py", "    log_format: str\n", "    novelty: str\n"),
    (
        "actors/settings/options.py",
        "OPTIONS: Final[tuple[Option, ...]] = (\n",
        '    Option(name="novelty", metavar="TEXT", default="new", read=str, help="New."),\n',
    ),
)
#: This version still works with a PostgreSQL store that has this migration.
MIGRATION = "-- only adds\nALTER TABLE attempts ADD COLUMN novelty text NOT NULL DEFAULT '';\n"


def make_next_version(folder: Path) -> Path:
    """Writes the next version's files to `folder`, and returns it."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, after, added in ADDED:
        _add(folder / name, after, added)
    for store in ("sqlite", "postgres"):
        _migrate(folder / "actors/ledger" / store / "migrations")
    # `actors.version` reads the version from here.
    about = folder / f"feedback_loops-{NEXT_VERSION}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.4\nName: feedback-loops\nVersion: {NEXT_VERSION}\n")
    # As `make setup` does.
    subprocess.run([sys.executable, "-m", "compileall", "-q", *PACKAGES], cwd=folder, check=True)
    return folder


def _add(file: Path, after: str, added: str) -> None:
    text = file.read_text()
    if text.count(after) != 1:
        raise AssertionError(f"{file.name} contains this text {text.count(after)} times, not once: {after}")
    file.write_text(text.replace(after, after + added))


def _migrate(folder: Path) -> None:
    newest = max(int(file.name[:4]) for file in folder.glob("*.sql"))
    (folder / f"{newest + 1:04}_novelty.sql").write_text(MIGRATION)
