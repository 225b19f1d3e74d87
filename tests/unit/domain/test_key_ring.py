"""`domain.key_ring`: steps of a rotation."""

from __future__ import annotations

import pytest

from domain.errors import Conflict, NotFound
from domain.key_ring import FrontEndKeys, KeyRing, fingerprint

ID = "0f" * 16
RING = KeyRing.first(ID, {"m1": "w1"}, 100)


def confirmed(generation: int, master: str = "m1", name: str = "a") -> FrontEndKeys:
    return FrontEndKeys(front_end=name, name=name, generation=generation, master=master, at_ms=1)


def test_the_fingerprint_stays_the_same() -> None:
    """It is of the installation's id only, and reveals nothing of it."""
    rotated = RING.with_key({"m1": "w2"}, 200)

    assert rotated.fingerprint == RING.fingerprint == fingerprint(ID)
    assert len(RING.fingerprint) == 16
    assert RING.fingerprint not in ID
    assert fingerprint("0e" * 16) != RING.fingerprint


def test_a_new_key_signs_once_every_front_end_has_it() -> None:
    """A front end that has not confirmed the generation with the key holds the rotation up, however long it is off."""
    waiting = RING.with_key({"m1": "w2"}, 200)
    assert (waiting.generation, waiting.signing, waiting.waiting and waiting.waiting.id) == (2, 1, 2)

    assert waiting.advanced([confirmed(2), confirmed(1, name="off")], 300) is waiting
    signing = waiting.advanced([confirmed(2), confirmed(2, name="off")], 300)

    assert (signing.generation, signing.signing, signing.waiting) == (3, 2, None)
    assert [(key.signs_from_ms, key.signs_until_ms) for key in signing.keys] == [(100, 300), (300, None)]
    assert signing.advanced([confirmed(3)], 400) is signing


def test_a_master_key_ends_once_every_front_end_uses_the_next() -> None:
    """Until then, every key is wrapped for both. No key changes."""
    both = RING.with_master("m2", {1: "v1"})
    assert both.keys[0].wrapped == {"m1": "w1", "m2": "v1"}
    assert both.with_master("m2", {1: "other"}) is both

    assert both.advanced([confirmed(2, "m2"), confirmed(2, "m1", "off")], 300) is both
    done = both.advanced([confirmed(2, "m2"), confirmed(2, "m2", "off")], 300)

    assert done.keys[0].wrapped == {"m2": "v1"}
    assert (done.generation, done.signing, done.next_master) == (3, 1, None)
    assert done.with_master("m2", {1: "again"}) is done


def test_one_rotation_at_a_time() -> None:
    """Another one is refused until the first is through."""
    waiting, both = RING.with_key({"m1": "w2"}, 200), RING.with_master("m2", {1: "v1"})

    with pytest.raises(Conflict):
        waiting.with_key({"m1": "w3"}, 300)
    with pytest.raises(Conflict):
        waiting.with_master("m2", {})
    with pytest.raises(Conflict):
        both.with_key({"m1": "w2"}, 300)
    with pytest.raises(Conflict):
        both.with_master("m3", {1: "u1"})


def test_old_and_waiting_keys_can_be_dropped() -> None:
    """The key that signs cannot. Ids are not used again."""
    waiting = RING.with_key({"m1": "w2"}, 200)
    signing = waiting.advanced([confirmed(2)], 300)

    assert [key.id for key in waiting.without(2).keys] == [1]
    dropped = signing.without(1)
    assert ([key.id for key in dropped.keys], dropped.generation) == ([2], 4)
    assert dropped.with_key({"m1": "w3"}, 400).keys[-1].id == 3
    with pytest.raises(Conflict, match="signs"):
        signing.without(2)
    with pytest.raises(NotFound):
        signing.without(7)


def test_a_lost_master_key_costs_all_keys() -> None:
    """A new key replaces them, under an id of its own; the installation stays the same."""
    replaced = RING.replaced({"m9": "w2"}, 900)

    assert (replaced.installation, replaced.generation, replaced.signing) == (ID, 2, 2)
    assert [key.id for key in replaced.keys] == [2]
