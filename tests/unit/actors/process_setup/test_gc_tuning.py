"""Python's collector is tamed: full collections when memory has grown, and none else. Each test is a process."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent


def told(script: str) -> str:
    """What a fresh Python prints that has tamed its collector and notes its full collections in `full`."""
    begin = """
        import gc
        from actors.process_setup import gc_tuning
        gc_tuning.tune_gc()
        full = []
        gc.callbacks.append(lambda phase, info: phase == "stop" and info["generation"] == 2 and full.append(info))
    """
    process = subprocess.run(
        [sys.executable, "-c", dedent(begin) + dedent(script)], capture_output=True, text=True, check=True, timeout=60
    )
    return process.stdout.strip()


def test_many_new_objects_are_no_reason_for_a_full_collection() -> None:
    """Python would make several while a list of lists grows to 40 MB."""
    assert told("kept = [[] for _ in range(500_000)]; print(len(full))") == "0"


def test_grown_memory_is_collected_once() -> None:
    """Cycles are let go of when the process has grown, and it is left alone again after that."""
    script = """
        import weakref
        class Node: pass
        seen = []
        for n in range(40):
            node = Node()
            node.itself, node.ballast = node, b"x" * 4_000_000
            if n < 12:  # these outlive the young, and then are garbage
                kept = [node, *(kept if n else [])]
            seen.append(weakref.ref(node))
        gc.collect(1); gc.collect(1)
        old = seen[0]; kept = node = None
        assert old() is not None and not full
        ballast = [bytearray(1_000_000) for _ in range(200)]
        lists = [[] for _ in range(50_000)]
        print(len(full), old() is None)
    """
    assert told(script) == "1 True"


def test_what_was_loaded_is_looked_at_no_more() -> None:
    """A full collection does not see what the process began with."""
    assert int(told("print(len(gc.get_objects()))")) < 2_000


def test_it_is_done_once() -> None:
    """A process that is told twice has one watch."""
    assert told("n = len(gc.callbacks); gc_tuning.tune_gc(); print(len(gc.callbacks) - n)") == "0"
