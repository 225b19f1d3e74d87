"""Names of the actors, and what messages to people call them."""

from __future__ import annotations

from typing import Final

LEDGER: Final = "ledger"
SUPERVISOR: Final = "supervisor"
ENRICHER_PREFIX: Final = "enricher/"
#: Prefix of actors that run a single feedback loop.
LOOP_PREFIX: Final = "feedback-loop/"
#: Prefix of actors that many loops share.
HOST_PREFIX: Final = "loop-host/"


def enricher_name(number: int) -> str:
    """Name of the enrichment actor `number`, from 0."""
    return f"{ENRICHER_PREFIX}{number}"


def loop_name(loop_id: str) -> str:
    """Name of the actor that runs only this loop."""
    return f"{LOOP_PREFIX}{loop_id}"


def host_name(number: int) -> str:
    """Name of the shared loop host `number`, from 0."""
    return f"{HOST_PREFIX}{number}"


def own_loop(name: str) -> str | None:
    """The only loop of the actor with this name; None for any other actor."""
    return name.removeprefix(LOOP_PREFIX) if name.startswith(LOOP_PREFIX) else None


def holds_loops(name: str) -> bool:
    """Whether an actor with this name runs loops, one or many."""
    return name.startswith((LOOP_PREFIX, HOST_PREFIX))


def display_name(name: str) -> str:
    """The actor in words for people, who need not know that there are actors."""
    kind, _, which = name.partition("/")
    if kind == "feedback-loop":
        return f"feedback loop {which}"
    return f"the {kind}" if not which else f"{kind} {which}"
