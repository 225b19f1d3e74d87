"""Fault matrix of a cluster: injects one fault after the other into three machines under load.

    python -m tests.cluster.matrix [--seed N] [--short] [--only NAME …]

It needs root, to create networks. The columns are those of `tests.chaos.matrix`. The exit status is 1 if a promise was
broken. Faults named `… (Redis)` concern a cluster whose head keeps its state in Redis.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.matrix import run
from tests.chaos.service_under_load import Fault, Row
from tests.cluster.cluster_fixture import Cluster, running_cluster
from tests.cluster.cluster_under_load import ClusterUnderLoad
from tests.cluster.faults import CutOff, HeadKilled, NodeKilled, NodeLeaves, PowerCut, RollingRestart, StoreDown
from tests.cluster.network import reason_to_skip
from tests.cluster.upgrade import Upgrade, UpgradeMachines
from tests.next_version import make_next_version
from tests.paths import ROOT

#: Clicks per second.
RATE = 60.0
#: The other machines rejoin a head that restarts with its state. If it has lost its state, they first end and restart
#: their own Ray.
SAME_HEAD_S = 40.0
OTHER_HEAD_S = 60.0


def faults(cluster: Cluster, *, is_short: bool) -> list[Fault]:
    """Faults of a cluster whose head loses its state when it ends."""

    def lasting(long_s: float, short_s: float) -> float:
        return short_s if is_short else long_s

    edge = cluster.edges[-1].machine
    following = make_next_version(cluster.folder / "next")
    matrix: list[Fault] = [
        RollingRestart(cluster),
        Upgrade(cluster, "upgrade", following),
        Upgrade(cluster, "and back", ROOT),
        NodeLeaves(cluster, lasting(20.0, 5.0)),
        PowerCut(cluster, "power of an edge", lambda: edge, lasting(60.0, 20.0)),
        StoreDown(cluster, lasting(600.0, 10.0)),
    ]
    if not is_short:
        matrix += [
            *(NodeKilled(cluster, role) for role in ("ledger", "enricher", "supervisor", "loop")),
            PowerCut(cluster, "power of ledger", lambda: cluster.machine_of("ledger"), 60.0),
            CutOff(cluster, edge, 5.0),
            CutOff(cluster, edge, 30.0),
            CutOff(cluster, edge, 180.0),
            HeadKilled(cluster, "head killed", OTHER_HEAD_S),
            PowerCut(cluster, "power of head", lambda: cluster.head, 30.0, OTHER_HEAD_S),
        ]
    return matrix


def faults_with_redis(cluster: Cluster, *, is_short: bool) -> list[Fault]:
    """Faults of a cluster whose head keeps its state in Redis."""
    matrix: list[Fault] = [HeadKilled(cluster, "head killed (Redis)", SAME_HEAD_S)]
    if not is_short:
        matrix.append(PowerCut(cluster, "power of head (Redis)", lambda: cluster.head, 45.0, SAME_HEAD_S))
        following = make_next_version(cluster.folder / "next")
        matrix.append(UpgradeMachines(cluster, "machines (Redis)", following, SAME_HEAD_S))
    return matrix


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--short", action="store_true", help="few faults, which only last seconds")
    parser.add_argument("--only", nargs="+", default=[""], metavar="NAME", help="faults whose names start with NAME")
    arguments = parser.parse_args()
    if reason := reason_to_skip():
        print(f"skipped: {reason}")
        return
    print(f"seed {arguments.seed}\n{Row.HEAD}", flush=True)
    # Exit normally, so that no machines and networks are left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rng, began_s, broken = random.Random(arguments.seed), time.monotonic(), []
    which: list[tuple[bool, Callable[..., list[Fault]]]] = [(False, faults), (True, faults_with_redis)]
    for with_redis, matrix in which:
        with tempfile.TemporaryDirectory(prefix="feedback-loops-cluster-") as folder:
            broken += _on_a_cluster(Path(folder), rng, matrix, arguments, with_redis=with_redis)
    print(f"{(time.monotonic() - began_s) / 60:.1f} minutes", flush=True)
    print("\n".join(broken) or "every promise kept", flush=True)
    sys.exit(bool(broken))


def _on_a_cluster(
    folder: Path,
    rng: random.Random,
    matrix: Callable[..., list[Fault]],
    arguments: argparse.Namespace,
    *,
    with_redis: bool,
) -> list[str]:
    with running_cluster(folder, with_redis=with_redis) as cluster:
        chosen = [f for f in matrix(cluster, is_short=arguments.short) if f.name.startswith(tuple(arguments.only))]
        broken = run(ClusterUnderLoad(cluster, rng, RATE), chosen) if chosen else []
        if broken:
            sys.stderr.write(cluster.logs())
        return broken


if __name__ == "__main__":
    main()
