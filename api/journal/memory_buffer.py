"""Bounded memory buffer of the journal."""

from __future__ import annotations

from itertools import islice


class MemoryBuffer:
    """Hits not known to be on disk, in the order of their numbers: at most `max_hits`, with at most `max_bytes`."""

    def __init__(self, max_hits: int, max_bytes: int) -> None:
        self._max_hits = max_hits
        self._max_bytes = max_bytes
        self._hits: dict[int, bytes] = {}
        self._bytes = 0
        self._last_seq = 0

    def __len__(self) -> int:
        return len(self._hits)

    @property
    def first_seq(self) -> int | None:
        """The lowest number; None if there is no hit."""
        return next(iter(self._hits), None)

    def has_room_for(self, hit: bytes) -> bool:
        return len(self._hits) < self._max_hits and self._bytes + len(hit) <= self._max_bytes

    def add(self, seq: int, hit: bytes) -> None:
        """Adds a hit. `seq` must be greater than all earlier ones."""
        self._hits[seq] = hit
        self._bytes += len(hit)
        self._last_seq = seq

    def forget(self, seq: int) -> None:
        """Removes the hit, if it is there."""
        hit = self._hits.pop(seq, None)
        if hit is not None:
            self._bytes -= len(hit)

    def first(self, limit: int, max_bytes: int) -> list[tuple[int, bytes]]:
        """The first hits: at most `limit`, and at most `max_bytes` unless the first is longer."""
        if self._bytes <= max_bytes:
            return list(islice(self._hits.items(), limit))
        hits: list[tuple[int, bytes]] = []
        self.extend(hits, 0, limit, max_bytes)
        return hits

    def extend(self, hits: list[tuple[int, bytes]], after_seq: int, limit: int, max_bytes: int) -> None:
        """Adds hits after `after_seq` to `hits`, up to `limit` and `max_bytes`; a single longer hit is allowed."""
        size = sum(len(hit) for _, hit in hits)
        # By number rather than by iteration, so that a reader far ahead does not step over all hits it has read.
        for seq in range(max(after_seq + 1, next(iter(self._hits), self._last_seq + 1)), self._last_seq + 1):
            hit = self._hits.get(seq)
            if hit is None:
                continue
            size += len(hit)
            if len(hits) >= limit or (hits and size > max_bytes):
                return
            hits.append((seq, hit))
