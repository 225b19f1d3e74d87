"""Listening socket of `serve`: bound to its host and port, or inherited (socket activation).

systemd, or another parent process, keeps an inherited socket open across restarts: clients that connect meanwhile wait
in its queue, and none is refused. The parent passes it as file descriptor 3 and sets `LISTEN_FDS=1` and `LISTEN_PID`
(sd_listen_fds(3)).
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from typing import Final

from actors.settings.kubernetes import without_service_variables
from actors.settings.options import OPTIONS
from domain.errors import Conflict, InvalidInput

#: Connections that wait while the front end restarts; the kernel may allow fewer (net.core.somaxconn).
BACKLOG: Final = 4096
FIRST_FD: Final = 3
#: The protocol's variables. They are for the process with this id only, so no child inherits them.
ACTIVATION_VARIABLES: Final = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
#: The socket has an address already.
_ADDRESS: Final = tuple(option for option in OPTIONS if option.name in {"host", "port"})


def bound_listener(host: str, port: int) -> socket.socket:
    """A listening TCP socket, which the front end inherits, and each that replaces it.

    Raises:
        Conflict: the port is taken, or the host is not an address of this machine.
    """
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # This sets SO_REUSEADDR, so lingering connections of an earlier run do not block the port.
        return socket.create_server(where[:2], family=family, backlog=BACKLOG)
    except OSError as exc:
        raise Conflict(_listening_problem(host, port, exc)) from exc


def _listening_problem(host: str, port: int, exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use: stop the process that listens there, or choose another port with --port"
        )
    if exc.errno == errno.EACCES:
        return f"port {port} is privileged: choose one above 1023 with --port, and use a proxy for {port}"
    return f"cannot listen on {host} port {port}: {exc.strerror or exc}; choose another address with --host"


def inherited_listener(environment: Mapping[str, str], flags: Mapping[str, str | None]) -> socket.socket | None:
    """The socket that this process was given, or None. Programs that it starts do not inherit it by default.

    Args:
        environment: The environment of this process.
        flags: The options of `serve` that were given, by their names.

    Raises:
        InvalidInput: it was given something else than one listening TCP socket, or also a host or a port.
    """
    count = environment.get("LISTEN_FDS", "0")
    if environment.get("LISTEN_PID") != str(os.getpid()) or count == "0":
        return None
    given = without_service_variables(environment)
    problems = [
        (f"{option.flag} ({option.variable})", "cannot be given: the inherited socket (LISTEN_FDS) has its own address")
        for option in _ADDRESS
        if flags.get(option.name) or given.get(option.variable)
    ]
    if count != "1":
        problems.append(("LISTEN_FDS", f"is {count}, but must be 1: the service listens on one socket"))
    if problems:
        raise InvalidInput("; ".join(f"{name} {problem}" for name, problem in problems), problems)
    return _listener(FIRST_FD)


def address_options(listener: socket.socket) -> dict[str, str]:
    """The options of `serve` that describe where the socket listens."""
    host, port = listener.getsockname()[:2]
    return {"host": host, "port": str(port)}


def _listener(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        made = socket.socket(fileno=descriptor)
    except OSError as exc:
        raise InvalidInput.at("LISTEN_FDS", f"is 1, but file descriptor {descriptor} is no socket") from exc
    is_tcp = made.family in {socket.AF_INET, socket.AF_INET6} and made.type == socket.SOCK_STREAM
    if not is_tcp or not made.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        made.detach()  # it is not ours to close
        raise InvalidInput.at("LISTEN_FDS", f"is 1, but file descriptor {descriptor} is no listening TCP socket")
    return made
