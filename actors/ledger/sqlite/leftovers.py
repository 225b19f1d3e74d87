"""Copies of rows in the unused parts of an SQLite file's pages.

When SQLite moves rows between pages, it may leave copies of them between a page's list of cells and its cells.
`secure_delete` overwrites a row that is deleted, but not such copies of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

#: Bytes at the start of a file, before the header of the first page.
_FILE_HEADER_BYTES: Final = 100
#: Where the file's header has the page size, the bytes at the end of each page that SQLite leaves to extensions, and a
#: number that is zero unless the file has pages of pointers (auto-vacuum).
_PAGE_SIZE: Final = slice(16, 18)
_RESERVED: Final = 20
_POINTERS: Final = slice(52, 56)
#: Bytes of a page's header, by its first byte: inner pages and leaves, of indexes and tables.
_PAGE_HEADER_BYTES: Final = {2: 12, 5: 12, 10: 8, 13: 8}
#: Any other page begins with the number of a page. In files of fewer pages, no such number begins with a byte above.
_MAX_PAGES: Final = 2 << 24
_PAGES_AT_ONCE: Final = 256


class Leftovers:
    """Search and removal of such copies in one file. No one ever reads them, so removing them changes nothing else."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._page_size = 0
        self._usable = 0

    def open(self) -> bool:
        """Opens the file; returns whether it is of a kind in which copies can be found.

        The file is never closed: closing it would end the locks of all SQLite connections of this process to it.
        """
        if self._descriptor is None or not os.path.samestat(os.fstat(self._descriptor), self._path.stat()):
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        header = os.pread(self._descriptor, _FILE_HEADER_BYTES, 0)
        size = int.from_bytes(header[_PAGE_SIZE])
        self._page_size = 65536 if size == 1 else size
        self._usable = self._page_size - header[_RESERVED]
        return not any(header[_POINTERS]) and os.fstat(self._descriptor).st_size < _MAX_PAGES * self._page_size

    def pages(self, rest: Callable[[], None]) -> list[int]:
        """Positions in the file of the pages with copies. Others may write to the file meanwhile.

        `rest` is called after each MiB or so.
        """
        found = []
        size = self._page_size
        position = 0
        while data := os.pread(self._file, _PAGES_AT_ONCE * size, position):
            for start in range(0, len(data) - size + 1, size):
                page = data[start : start + size]
                if any(True for _ in self._unused(page, position + start)):
                    found.append(position + start)
            position += len(data)
            rest()
        return found

    def clear(self, pages: Sequence[int]) -> None:
        """Overwrites the unused parts of these pages. The caller keeps all others from writing to the file.

        Connections may have former pages in their caches, and write them again unless they see a newer commit.
        """
        for position in pages:
            page = os.pread(self._file, self._page_size, position)
            for begin, end in self._unused(page, position):
                os.pwrite(self._file, bytes(end - begin), position + begin)

    def sync(self) -> None:
        """Returns once the disk has what was cleared."""
        os.fsync(self._file)

    def _unused(self, page: bytes, position: int) -> Iterator[tuple[int, int]]:
        """Begin and end of the page's unused part, if something is in it."""
        header = 0 if position else _FILE_HEADER_BYTES
        header_bytes = _PAGE_HEADER_BYTES.get(page[header])
        if header_bytes is None:
            return
        cells = int.from_bytes(page[header + 3 : header + 5])
        begin = header + header_bytes + 2 * cells
        end = int.from_bytes(page[header + 5 : header + 7]) or 65536
        if begin < end <= self._usable and page.count(0, begin, end) < end - begin:
            yield begin, end

    @property
    def _file(self) -> int:
        if self._descriptor is None:
            raise ValueError("the file is not open")
        return self._descriptor
