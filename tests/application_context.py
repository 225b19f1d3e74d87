"""Application context on a store of the contract suites."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from actors.application.context import Context
from tests.contract.ledger_facts import Store
from tests.keys import FixedKeys


def application_context(store: Store, **changes: Any) -> Context:
    """The context of handlers on the store; `changes` replace its values."""
    context = Context(
        ledger=store.writer,
        reader=store.reader,
        clock=store.clock,
        random_bytes=os.urandom,
        keys=FixedKeys(),
        installation="0" * 16,
    )
    return replace(context, **changes)
