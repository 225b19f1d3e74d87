"""Orders from the supervisor to loop hosts, and the hosts' status."""

from __future__ import annotations

from typing import NamedTuple

from actors.compatibility import wire_type


@wire_type
class HostStatus(NamedTuple):
    """Identity of a host process, and the loops that it holds."""

    #: Different for each start of the process.
    incarnation: str
    #: Ray's id of the node that it runs on.
    node: str
    loops: list[str]


@wire_type
class Order(NamedTuple):
    """Stamp of an order, by which a host refuses orders that were overtaken."""

    #: Incarnation of the process that the order is for; "" for a status request.
    incarnation: str
    #: Incarnation of the supervisor that gives the order.
    supervisor: str
    sequence: int
