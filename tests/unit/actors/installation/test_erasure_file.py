"""The file of erasures: complete and durable, whatever cut it off, and whoever else writes to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from actors.installation.erasure_file import ErasureLine, ErasureLines, add_erasures, merged, read_erasures
from domain.errors import StoreUnavailable
from tests.paths import ROOT


def line(n: int, at: str = "2026-03-01T09:30:00.000Z") -> ErasureLine:
    return ErasureLine(id=f"ers_{n}", account=None if n % 2 else "acc_1", digest="ab" * 32, at=at)


def ids(path: Path) -> list[str]:
    return list(read_erasures(path).lines)


def test_lines_are_added_once(tmp_path: Path) -> None:
    """A repetition after a crash adds nothing; an erasure that covers more since has another line, which counts."""
    path = tmp_path / "erasures.ndjson"
    assert read_erasures(path) == ErasureLines({}, [])
    add_erasures(path, [line(1), line(2)])
    add_erasures(path, [line(2), line(3)])
    assert read_erasures(path).lines == {f"ers_{n}": line(n) for n in (1, 2, 3)}
    assert path.read_bytes().count(b"\n") == 3
    again = line(1, at="2026-03-02T00:00:00.000Z")
    add_erasures(path, [again])
    assert read_erasures(path).lines["ers_1"] == again
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_line_that_a_crash_cut_off_joins_no_other(tmp_path: Path, cut: int) -> None:
    """The lines before it and those that are added later stay readable."""
    path = tmp_path / "erasures.ndjson"
    add_erasures(path, [line(1), line(2)])
    path.write_bytes(path.read_bytes()[:-cut])
    assert ids(path) == ["ers_1"]
    add_erasures(path, [line(3)])
    assert (ids(path), read_erasures(path).unreadable) == (["ers_1", "ers_3"], [])


def test_lines_that_cannot_be_read_are_reported(tmp_path: Path) -> None:
    """They hide no other line, and are not overlooked."""
    path = tmp_path / "erasures.ndjson"
    add_erasures(path, [line(1)])
    with path.open("ab") as file:
        file.write(b'{"id": "ers_2"}\nnot JSON\n')
    add_erasures(path, [line(3)])
    assert (ids(path), read_erasures(path).unreadable) == (["ers_1", "ers_3"], [2, 3])


def test_several_front_ends_may_share_a_file(tmp_path: Path) -> None:
    """No line is lost or cut when processes add lines at the same time."""
    path = tmp_path / "erasures.ndjson"
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(path), str(n)], cwd=ROOT) for n in range(3)]
    assert [writer.wait(30) for writer in writers] == [0, 0, 0]
    found = read_erasures(path)
    assert found.unreadable == []
    assert len(found.lines) == 60


_WRITER = """
import sys
from pathlib import Path
from actors.installation.erasure_file import ErasureLine, add_erasures

for n in range(20):
    line = ErasureLine(id=f"ers_{sys.argv[2]}_{n}", account=None, digest="ab" * 32, at="2026-03-01T09:30:00.000Z")
    add_erasures(Path(sys.argv[1]), [line])
"""


def test_the_latest_line_of_several_files_counts() -> None:
    """A data directory's file and the one elsewhere may each know what the other lacks."""
    late = line(1, at="2026-03-02T00:00:00.000Z")
    here = ErasureLines({"ers_1": line(1), "ers_2": line(2)}, [])
    there = ErasureLines({"ers_1": late, "ers_3": line(3)}, [])
    expected = [late, line(2), line(3)]
    assert merged([here, there]) == expected
    assert sorted(merged([there, here]), key=lambda each: each.id) == expected


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """No erasure is confirmed that is not on the disk."""
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        add_erasures(tmp_path / "missing" / "erasures.ndjson", [line(1)])
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        read_erasures(tmp_path / "folder")


def test_times_are_exact() -> None:
    """The time of a line is the erasure's, to the millisecond: data from later is another person's."""
    for until_ms in (0, 1_772_357_400_001, 1_772_357_400_999):
        assert ErasureLine.until(until_ms, id="ers_1", account=None, digest="").until_ms == until_ms
    assert ErasureLine.until(1_772_357_400_001, id="ers_1", account=None, digest="").at == "2026-03-01T09:30:00.001Z"
