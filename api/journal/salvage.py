"""Salvage of entries from the file of a journal that LMDB cannot open: reads page by page, and trusts no page.

LMDB ends the process when it meets a damaged page. The layout is that of LMDB 0.9 (`mdb.c`): a page begins with its
number, flags and the end of its list of offsets; a leaf's offsets lead to nodes, each with a key and a value, which is
on pages of its own if it is long.
"""

from __future__ import annotations

import mmap
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from actors.commands.intake import event_id_of
from domain.errors import StoreUnavailable

_PAGE: Final = struct.Struct("<QHHHH")
_NODE: Final = struct.Struct("<HHHH")
_META: Final = struct.Struct("<II8x8xI")
_MAGIC: Final = 0xBEEFC0DE
_USUAL_PAGE_BYTES: Final = 4096
_LEAF: Final = 0x02
_OVERFLOW: Final = 0x04
#: Flags of nodes: the value is on other pages, or is a database.
_IS_LONG: Final = 0x01
_IS_DATABASE: Final = 0x02
_KEY_BYTES: Final = 8
_BLOCK: Final = 4096


def salvaged_entries(path: Path) -> Iterator[bytes]:
    """Every entry in the journal's file, once, also some that were removed from it lately.

    Raises:
        StoreUnavailable: there is no such file, or it is no journal's.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield from _entries(data, _page_bytes(data, path))
    except (OSError, ValueError) as exc:
        raise StoreUnavailable(f"the journal {path.parent} cannot be read: {exc}") from exc


def _page_bytes(data: mmap.mmap, path: Path) -> int:
    """The size of a page, from one of the two meta pages."""
    for start in (0, _USUAL_PAGE_BYTES):
        if len(data) >= start + _PAGE.size + _META.size:
            magic, _, size = _META.unpack_from(data, start + _PAGE.size)
            if magic == _MAGIC and size in {1 << bits for bits in range(9, 17)}:
                return int(size)
    raise StoreUnavailable(f"the journal {path.parent} cannot be read: {path.name} is no LMDB file")


def _entries(data: mmap.mmap, page_bytes: int) -> Iterator[bytes]:
    #: Bits of the numbers so far, in blocks: LMDB copies the pages that it changes, so a number may be there twice.
    seen: defaultdict[int, int] = defaultdict(int)
    for start in range(0, len(data) - page_bytes + 1, page_bytes):
        number, _, flags, lower, _ = _PAGE.unpack_from(data, start)
        if flags & 0xFF != _LEAF or number * page_bytes != start or not _PAGE.size <= lower <= page_bytes:
            continue
        for at in range(_PAGE.size, lower - 1, 2):
            offset = int.from_bytes(data[start + at : start + at + 2], "little")
            entry = _entry(data, start, offset, page_bytes)
            if entry is None or not event_id_of(entry):
                continue
            key = start + offset + _NODE.size
            block, bit = divmod(int.from_bytes(data[key : key + _KEY_BYTES], "big"), _BLOCK)
            if not seen[block] >> bit & 1:
                seen[block] |= 1 << bit
                yield entry


def _entry(data: mmap.mmap, page: int, offset: int, page_bytes: int) -> bytes | None:
    """The value of a node, or None if the node is no entry."""
    if offset + _NODE.size + _KEY_BYTES > page_bytes:
        return None
    low, high, flags, key_bytes = _NODE.unpack_from(data, page + offset)
    if key_bytes != _KEY_BYTES or flags & _IS_DATABASE:
        return None
    size, begin = low | high << 16, page + offset + _NODE.size + key_bytes
    if not flags & _IS_LONG:
        return data[begin : begin + size] if begin + size <= page + page_bytes else None
    first = int.from_bytes(data[begin : begin + 8], "little") * page_bytes
    if first + _PAGE.size + size > len(data) or not _PAGE.unpack_from(data, first)[2] & _OVERFLOW:
        return None
    return data[first + _PAGE.size : first + _PAGE.size + size]
