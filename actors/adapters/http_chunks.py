"""Reader of chunked bodies (RFC 9112 7.1): as lenient as curl about line ends, extensions and trailers."""

from __future__ import annotations

import re
from typing import Final

#: The start of a size line; everything after the number, such as an extension, is ignored.
_SIZE: Final = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,4096})")
#: Bytes kept of a line that has not ended: enough to read a size, and to see that a line is not empty.
_LINE_START_BYTES: Final = 4096


class BadChunk(Exception):
    """The body is not chunked. The text is the end of a sentence for people."""


class ChunkReader:
    """Decodes one body, which may arrive in pieces."""

    __slots__ = ("_is_last", "_left", "_line", "_needs_line_end", "is_over", "rest")

    def __init__(self) -> None:
        #: Whether the whole body, with its trailers, has been read.
        self.is_over = False
        #: Bytes after the end of the body.
        self.rest = b""
        self._line = b""
        #: Bytes of the current chunk that have not arrived.
        self._left = 0
        self._needs_line_end = False
        self._is_last = False

    @property
    def has_all_data(self) -> bool:
        """Whether only trailers, which are ignored, may be missing."""
        return self._is_last

    def feed(self, data: bytes) -> bytes:
        """The content in the next bytes.

        Raises:
            BadChunk: a size is missing, or a chunk is longer than its size.
        """
        data, at, pieces = self._line + data, 0, []
        while not self.is_over:
            if self._left:
                piece = data[at : at + self._left]
                if not piece:
                    break
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                continue
            end = data.find(b"\n", at)
            if end < 0:
                break
            self._read_line(data[at:end])
            at = end + 1
        if self.is_over:
            self.rest = data[at:]
        else:
            self._line = data[at : at + _LINE_START_BYTES]
        return b"".join(pieces)

    def _read_line(self, line: bytes) -> None:
        is_empty = not line.strip(b"\r")
        if self._is_last:
            self.is_over = is_empty
        elif self._needs_line_end:
            if not is_empty:
                raise BadChunk("a chunk is longer than announced")
            self._needs_line_end = False
        else:
            size = _SIZE.match(line)
            if size is None:
                raise BadChunk("a chunk has no size")
            self._left = int(size[1], 16)
            self._is_last = not self._left
            self._needs_line_end = True
