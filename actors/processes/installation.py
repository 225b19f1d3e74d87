"""Installation of a data directory: created at the first start, and checked at every start."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress

from actors.installation.key_file import KeyFile
from actors.installation.keys import InstallationKeys
from actors.installation.master_key import MasterKeySource
from actors.installation.wrapping import KEY_BYTES, master_fingerprint, new_ring, wrap
from actors.ledger.factory import make_key_ring_store
from actors.settings import Settings
from domain.errors import ConcurrentWrite, Conflict, StoreUnavailable, WrongInstallation
from domain.key_ring import INSTALLATION_ID_BYTES, KeyRing

log = logging.getLogger(__name__)


def prepare_keys(settings: Settings) -> KeyRing | None:
    """Makes sure that the locked data directory has the keys that the front end needs, or that its gateway gets them.

    Only SQLite's store is read here, which is in the same directory. With another store, the gateway compares the two,
    and makes an installation only if that store has none. Returns the keys, or None as long as only the store has them.

    Raises:
        WrongInstallation: the ledger belongs to another installation.
        StoreUnavailable: the master key is not the one that wraps the keys, or a file is damaged.
    """
    source, file = MasterKeySource.of(settings), KeyFile(settings.data_dir)
    front_end, ring = file.read()
    if settings.store is None:
        stored = ring
        ring = _with_ledger(settings, ring) or _new(source)
        if ring != stored:
            file.write(front_end, ring)
        InstallationKeys(source).use(ring)
        return ring
    if not file.version:
        file.write(front_end, ring)
    if ring is not None:
        try:
            InstallationKeys(source).use(ring)
        except StoreUnavailable as exc:  # the store may have a newer ring, for a new master key
            log.warning("the keys in the data directory cannot be used", extra={"action": "keys", "problem": str(exc)})
    return ring


def make_installation(settings: Settings) -> KeyRing:
    """Makes the keys of a new installation in the locked data directory and, if it has none, in its store.

    Raises:
        StoreUnavailable: the store or the data directory cannot be used.
    """
    source, file = MasterKeySource.of(settings), KeyFile(settings.data_dir)
    front_end, _ = file.read()
    store = make_key_ring_store(settings)
    ring = store.load() or store.create(_new(source))
    InstallationKeys(source).use(ring)
    file.write(front_end, ring)
    return ring


def replace_lost_keys(settings: Settings) -> KeyRing:
    """Replaces all keys of an installation by one new key. The data directory is locked.

    The master key is the given one, or the one in the data directory; a new one is created there if there is none.

    Raises:
        Conflict: there is no installation, or the master key is not lost.
        ConcurrentWrite: a service runs on the store.
        StoreUnavailable: the store or the data directory cannot be used.
    """
    source, file, store = MasterKeySource.of(settings), KeyFile(settings.data_dir), make_key_ring_store(settings)
    front_end, local = file.read()
    stored = store.load()
    ring = max((each for each in (local, stored) if each), key=lambda each: each.generation, default=None)
    if ring is None:
        raise Conflict(f"neither {settings.data_dir} nor the store belongs to an installation: there is nothing to do")
    with suppress(StoreUnavailable):
        InstallationKeys(source).use(ring)
        raise Conflict("the master key opens the installation's keys: start the service, there is nothing to do")
    master_key = source.create(os.urandom)
    wrapped = wrap(os.urandom(KEY_BYTES), ring.installation, ring.next_id, master_key, os.urandom)
    replaced = ring.replaced({master_fingerprint(master_key): wrapped}, time.time_ns() // 1_000_000)
    if stored is None:
        store.create(replaced)
    elif not store.replace(replaced, stored.generation):
        raise ConcurrentWrite("a service on this store has just changed its keys: stop all of them first")
    file.write(front_end, replaced)
    return replaced


def _with_ledger(settings: Settings, ring: KeyRing | None) -> KeyRing | None:
    """The right ring of the data directory's and the SQLite ledger's."""
    stored = make_key_ring_store(settings).load()
    if ring is None or stored is None:
        return ring or stored
    if ring.installation != stored.installation:
        raise WrongInstallation(
            f"the ledger belongs to installation {stored.fingerprint}, keys.json to {ring.fingerprint}: "
            "restore both from the same backup"
        )
    return max(ring, stored, key=lambda each: each.generation)


def _new(source: MasterKeySource) -> KeyRing:
    master_key = source.create(os.urandom)
    installation = os.urandom(INSTALLATION_ID_BYTES).hex()
    ring = new_ring(installation, master_key, os.urandom, time.time_ns() // 1_000_000)
    log.warning("a new installation", extra={"action": "installation_created", "fingerprint": ring.fingerprint})
    return ring
