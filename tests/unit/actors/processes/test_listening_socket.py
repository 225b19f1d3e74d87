"""Listening socket: inherited from a real parent process, or refused with the reason."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

from tests.listening_socket import held_socket, passing
from tests.paths import ROOT

#: Prints where the inherited socket listens, whether a child inherits it, and what the children's environment has.
INHERIT = """
import json, os, sys
from actors.processes.listening_socket import address_options, inherited_listener
from actors.processes.serve_supervisor import child_environment
from domain.errors import InvalidInput
try:
    found = inherited_listener(os.environ, json.loads(sys.argv[1]))
except InvalidInput as exc:
    print(json.dumps({"problems": dict(exc.problems)}))
else:
    left = [name for name in child_environment(os.environ) if name.startswith("LISTEN_")]
    at = found and {**address_options(found), "inheritable": os.get_inheritable(found.fileno())}
    print(json.dumps({"at": at, "left": left}))
"""


def inherited(
    *held: socket.socket,
    count: int | None = None,
    flags: dict[str, str] | None = None,
    environment: dict[str, str] | None = None,
) -> dict[str, object]:
    """What a process finds that is given these sockets."""
    done = subprocess.run(
        [*passing(*held, count=count), sys.executable, "-c", INHERIT, json.dumps(flags or {})],
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        pass_fds=[each.fileno() for each in held],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_one_listening_socket_is_inherited() -> None:
    """Its address is that of the service, no other program inherits it, and the variables end with this process."""
    with held_socket() as held:
        port = str(held.getsockname()[1])

        # What Kubernetes sets for a Service is no option.
        found = inherited(held, environment={"FEEDBACK_LOOPS_PORT": "tcp://10.0.0.1:80"})
    assert found == {"at": {"host": "127.0.0.1", "port": port, "inheritable": False}, "left": []}


def test_a_socket_for_all_addresses_of_ipv6_is_inherited() -> None:
    """This is what a socket unit with only a port number makes."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as held:
        found = inherited(held)
    assert isinstance(found["at"], dict)
    assert found["at"]["host"] == "::"


def test_sockets_of_another_process_are_left_alone() -> None:
    """LISTEN_PID names a wrapper that did not remove the variables."""
    done = subprocess.run(
        [sys.executable, "-c", INHERIT, "{}"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "LISTEN_FDS": "1", "LISTEN_PID": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == {"at": None, "left": []}


@pytest.mark.parametrize(
    ("flags", "environment", "name"),
    [
        ({"host": "127.0.0.1"}, {}, "--host (FEEDBACK_LOOPS_HOST)"),
        ({"port": "8080"}, {}, "--port (FEEDBACK_LOOPS_PORT)"),
        ({}, {"FEEDBACK_LOOPS_HOST": "0.0.0.0"}, "--host (FEEDBACK_LOOPS_HOST)"),
        ({}, {"FEEDBACK_LOOPS_PORT": "8080"}, "--port (FEEDBACK_LOOPS_PORT)"),
    ],
)
def test_another_address_is_refused(flags: dict[str, str], environment: dict[str, str], name: str) -> None:
    """The socket's address is the only one, so a host or port, even the default one, would be ignored."""
    with held_socket() as held:
        found = inherited(held, flags=flags, environment=environment)
    assert found == {"problems": {name: "cannot be given: the inherited socket (LISTEN_FDS) has its own address"}}


def test_more_than_one_socket_is_refused() -> None:
    """A second ListenStream= in the unit would never be served."""
    with held_socket() as held, held_socket() as second:
        found = inherited(held, second)
    assert found == {"problems": {"LISTEN_FDS": "is 2, but must be 1: the service listens on one socket"}}


def test_anything_but_a_listening_tcp_socket_is_refused() -> None:
    """A socket of another kind, one that does not listen, and no socket at all."""
    problem = "is 1, but file descriptor 3 is no listening TCP socket"
    with socket.socket(socket.AF_UNIX) as unix, socket.socket() as deaf, socket.socket(type=socket.SOCK_DGRAM) as udp:
        for other in (unix, deaf, udp):
            assert inherited(other) == {"problems": {"LISTEN_FDS": problem}}
    assert inherited(count=1) == {"problems": {"LISTEN_FDS": "is 1, but file descriptor 3 is no socket"}}
