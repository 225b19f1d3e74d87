"""Tuning of the garbage collector. Each test runs in a separate process."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent


def output_of(script: str) -> str:
    """Output of a new Python process with a tuned collector, which counts its full collections in `full`."""
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


def test_many_new_objects_cause_no_full_collection() -> None:
    """Untuned Python would make several while a list of lists grows to 40 MB."""
    assert output_of("kept = [[] for _ in range(500_000)]; print(len(full))") == "0"


def test_a_grown_process_is_collected_once() -> None:
    """Cycles are freed when the process has grown, and then not until it grows again."""
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
    assert output_of(script) == "1 True"


def test_present_objects_are_exempt() -> None:
    """A full collection does not visit the objects that existed at the start."""
    assert int(output_of("print(len(gc.get_objects()))")) < 2_000


def test_tuning_again_has_no_effect() -> None:
    """A second call has no effect."""
    assert output_of("n = len(gc.callbacks); gc_tuning.tune_gc(); print(len(gc.callbacks) - n)") == "0"
