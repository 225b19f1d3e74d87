"""Messages between processes of this version and of the next, in both directions."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import msgspec
import pytest

from actors import commands
from actors.commands.intake import Batch, encode_batch, encode_entry, read_batch
from actors.commands.loops import Loop
from actors.commands.metrics import HistogramData, Snapshot
from actors.commands.service import ClaimKey
from actors.compatibility import WireStruct, tolerant_decoder
from actors.ledger.access.port import BeginSession
from actors.loops.location_registry import LocationChanges
from actors.loops.orders import HostStatus, Order
from actors.metrics.snapshots import ProcessSnapshot
from actors.ray_runtime import remote_ports
from actors.ray_runtime.calls import Reply
from actors.ray_runtime.deployment import Deployment
from domain.delivery import AttemptOutcome, LaneHealth, OfferedDelivery, ReplayProgress
from domain.loop_settings import LoopSettings
from domain.reports.intake import Report, ReturnedMailEntry
from domain.tracking import EventToRecord, RecordedEvents, ReportToRecord, TrackingHit
from tests.next_version import make_next_version

HIT = TrackingHit(b"i" * 16, "click", 1, 2, 3, "https://shop.example/", "192.0.2.1", "agent", "", "")
EVENT = EventToRecord(b"i" * 16, 1, "click", 2, None, 3, b"{}", [1, 2])
REPORT = Report(b"r" * 16, 1, "api", b"k" * 32, 3, b"d" * 32, b"{}")
MAIL = ReturnedMailEntry(b"m" * 16, 1, "mail", b"k" * 32, 3, b"d" * 32, b"", "file")
REPORTED = ReportToRecord(b"r" * 16, 1, b"d" * 32, "api", "failure", 1, [EVENT._replace(mime="mail")])
OUTCOME = AttemptOutcome(1, 1, 2, 3, 200, None, "", None, 1, 0)
OFFER = OfferedDelivery(1, b"i" * 16, "click", b"{}", 0, 0)
LOOP = Loop(
    id="fl_1",
    url="https://example.com/",
    settings=LoopSettings(triggers=("click",), signature="cavage"),
    state="active",
    disabled_reason=None,
    created_at_ms=1,
    verified_at_ms=2,
    verification_token="token",
)
SNAPSHOT = ProcessSnapshot(
    "a", 1, Snapshot([("hits", ("click",), 1.0)], [("x", (), HistogramData((1, 2), 3.0))]), "n", "1"
)
#: Values in Ray calls: some of each kind, and all that the supervisor needs.
PICKLED: list[Any] = [
    *(
        LOOP,
        SNAPSHOT,
        BeginSession(hash="h", user_id="u"),
        ClaimKey(scope="s", key="k", fingerprint="f"),
    ),
    *(HostStatus("incarnation", "node", ["fl_1"]), Order("incarnation", "supervisor", 1)),
    ReplayProgress(1, 2, "running", "dead", 3, 4, 5, 6, 7),
]
_pack = msgspec.msgpack.encode
#: Bodies of frames, by the name of their decoder in `actors.ray_runtime.remote_ports`.
BODIES: dict[str, Any] = {
    "unpack_change": ([(b"i" * 16, 1, "profile.created", b"{}")], 1, [EVENT]),
    "unpack_events": remote_ports.EventsBody(1, [EVENT], [REPORTED]),
    "unpack_outcomes": ([OUTCOME], (1, LaneHealth())),
    "unpack_offers": [("fl_1", [OFFER])],
    "unpack_version": ("incarnation", 1),
    "unpack_changes": LocationChanges("incarnation", 1, True, {"loop-host/0": ["fl_1"]}),
    "unpack_recorded": RecordedEvents([[1]], [0], (1,)),
}
#: Run by the next version: reads what this version wrote, and writes the values back.
_SCRIPT = """
import pickle, sys
import msgspec
from actors.ray_runtime import remote_ports
from actors.ray_runtime.deployment import Deployment
from actors.commands.intake import encode_batch, encode_entry, read_batch
from domain.tracking import Novelty
pickled, bodies, hits, deployment = pickle.load(sys.stdin.buffer)
answers = [pickle.loads(each) for each in pickled]
assert all(answer.value.novelty == "new" for answer in answers[:2]), answers
read = {name: getattr(remote_ports, name)(body) for name, body in bodies.items()}
entries = read_batch(hits).entries
pickle.dump(
    (
        [pickle.dumps(answer) for answer in answers],
        {name: msgspec.msgpack.encode(value) for name, value in read.items()},
        encode_batch([encode_entry(entry) for entry in (Novelty(b"n" * 16), *entries)]),
        Deployment.read(deployment).text(),
    ),
    sys.stdout.buffer,
)
"""


@pytest.fixture(scope="module")
def next_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_next_version(tmp_path_factory.mktemp("next"))


def test_two_versions_read_each_other(next_version: Path) -> None:
    """The next version fills in missing fields; this one drops unknown fields and lists entries of an unknown kind."""
    deployment = Deployment(started_ms=1, version="1", installation="i", options={"store": "d"})
    written = (
        [pickle.dumps(Reply(value)) for value in PICKLED],
        {name: _pack(value) for name, value in BODIES.items()},
        encode_batch([encode_entry(entry) for entry in (HIT, REPORT, MAIL)]),
        deployment.text(),
    )
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        input=pickle.dumps(written),
        env={**os.environ, "PYTHONPATH": str(next_version)},
        cwd=next_version,
        stdout=subprocess.PIPE,
        check=True,
    )
    pickled, bodies, hits, text = pickle.loads(done.stdout)

    assert [pickle.loads(each).value for each in pickled] == PICKLED
    assert {name: getattr(remote_ports, name)(body) for name, body in bodies.items()} == BODIES
    assert bodies["unpack_offers"] != written[1]["unpack_offers"]
    assert read_batch(hits) == Batch([HIT, REPORT, MAIL], [0])
    assert Deployment.read(text) == deployment


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", _pack(1), _pack([1, 2, 3]), _pack([["fl_1", [["no number"]]]]), _pack(list(HIT[:3]))]
)
def test_an_invalid_body_is_refused(body: bytes) -> None:
    """A missing or wrong field is never tolerated."""
    with pytest.raises(msgspec.MsgspecError):
        tolerant_decoder(list[tuple[str, list[OfferedDelivery]]])(body)


def test_every_struct_of_a_call_is_pickled_by_names() -> None:
    """Commands and answers are pickled by the names of their fields, so that each may get new ones."""
    structs = [
        each
        for module in iter_modules(commands.__path__)
        for each in vars(import_module(f"actors.commands.{module.name}")).values()
        if isinstance(each, type) and issubclass(each, msgspec.Struct) and not each.__name__.startswith("_")
    ]
    assert structs

    assert [each.__name__ for each in structs if not issubclass(each, WireStruct)] == []
