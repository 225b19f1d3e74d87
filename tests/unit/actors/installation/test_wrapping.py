"""Wrapping of installation keys by master keys."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from actors.installation.key_file import ring_of, ring_text
from actors.installation.wrapping import master_fingerprint, new_ring, unwrapped, wrap
from domain.errors import StoreUnavailable
from domain.key_ring import KeyRing

MASTER, NEXT = bytes(32), bytes(range(32))
ID = "0f" * 16


def ring() -> KeyRing:
    return new_ring(ID, MASTER, os.urandom, 1)


def test_only_the_master_key_unwraps() -> None:
    """Another one is refused with both fingerprints; the ring's text contains neither key."""
    made = ring()
    keys = unwrapped(made, [NEXT, MASTER])

    assert (keys.signing, len(keys.signing_key)) == (1, 32)
    assert unwrapped(ring_of(ring_text(made)), [MASTER]) == keys
    assert keys.signing_key.hex() not in ring_text(made)
    with pytest.raises(StoreUnavailable, match=f"{master_fingerprint(MASTER)}, not by {master_fingerprint(NEXT)}"):
        unwrapped(made, [NEXT])


def test_a_next_master_key_changes_no_key() -> None:
    """While the master key is replaced, either unwraps the same keys."""
    made = ring()
    keys = unwrapped(made, [MASTER])
    both = made.with_master(master_fingerprint(NEXT), {1: wrap(keys.keys[1], ID, 1, NEXT, os.urandom)})

    assert unwrapped(both, [MASTER]) == unwrapped(both, [NEXT]) == keys


def test_a_wrapped_key_belongs_to_one_installation_and_id() -> None:
    """Moved to another installation or id, or damaged, it is refused."""
    made = ring()
    with pytest.raises(StoreUnavailable, match="damaged"):
        unwrapped(replace(made, installation="0e" * 16), [MASTER])
    with pytest.raises(StoreUnavailable, match="damaged"):
        unwrapped(replace(made, keys=(replace(made.keys[0], id=2),)), [MASTER])
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        ring_of("{}")
