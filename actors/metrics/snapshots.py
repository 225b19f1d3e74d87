"""Metrics of one process, as they cross to other processes."""

from __future__ import annotations

from actors.commands.metrics import Snapshot
from actors.compatibility import WireStruct


class ProcessSnapshot(WireStruct, array_like=True, frozen=True):
    """The metrics of one process. A different `incarnation` under the same name means that it counts from 0 again."""

    incarnation: str
    #: Unix time, milliseconds.
    started_ms: int
    snapshot: Snapshot
    #: Ray's id of the node that the process runs on; empty when unknown.
    node: str = ""
    #: `actors.version.PROGRAM` of the process; empty when unknown.
    version: str = ""
