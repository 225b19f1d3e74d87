"""Stand-in for systemd, which tests cannot start: it runs units as far as a plain process can.

    python systemd_stand_in.py manager SOCKET          holds listening sockets, and starts and stops services
    python systemd_stand_in.py systemctl SOCKET …      tells it what to do, as `systemctl` does

A service gets its user, environment, state directory and socket, and these parts of its hardening: no capabilities, no
new privileges, a read-only system, a private /tmp, its own processes in /proc, no writable and executable memory, and
the filter of system calls. Needs root, in namespaces of its own. Only imports the standard library.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pwd
import re
import resource
import shlex
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Final

UNITS: Final = Path("/etc/systemd/system")
LIBC: Final = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS: Final = 0x20000
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_SET_MDWE = 24, 38, 22, 65
_NUMBER: Final = re.compile(r"^#define __NR_(\w+) (\d+)", re.MULTILINE)
#: Of classic BPF: load a word, jump if equal, return; and what seccomp returns.
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _KILL, _EPERM, _X86_64 = 0x7FFF0000, 0x80000000, 0x00050001, 0xC000003E


def unit(name: str) -> dict[str, list[str]]:
    """The settings of a unit, whatever their section; repeated ones in order, and an empty one drops those before."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text().splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


class Manager:
    """The sockets and the service of one installation."""

    def __init__(self) -> None:
        self.listening: dict[str, socket.socket] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def do(self, words: list[str]) -> None:
        command, *names = [word for word in words if not word.startswith("--")]
        if command == "daemon-reload":
            return
        if command == "restart":
            self.stop()
        elif command != "enable" or "--now" not in words:
            raise ValueError(f"systemctl {words}")
        begin = {".socket": self.listen, ".service": self.start, ".timer": unit}
        for name in names:
            begin[Path(name).suffix](name)

    def listen(self, name: str) -> None:
        host, port = unit(name)["ListenStream"][-1].rsplit(":", 1)
        self.listening[name] = socket.create_server((host, int(port)), backlog=4096)

    def start(self, name: str) -> None:
        required = [each for each in " ".join(unit(name)["Requires"]).split() if each.endswith(".socket")]
        held = [self.listening[each].fileno() for each in required]
        command = [sys.executable, "-I", "-S", __file__, "run", name, *map(str, held)]
        self.process = subprocess.Popen(command, pass_fds=held)

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(float(unit("feedback-loops.service")["TimeoutStopSec"][-1]))
        print(f"stopped with exit code {code}", flush=True)


def manager(path: str) -> None:
    state = Manager()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        while True:
            connection, _ = listening.accept()
            with connection:
                answer = ""
                try:
                    state.do(json.loads(connection.recv(1 << 16)))
                except Exception as exc:  # noqa: BLE001 - the caller shows it
                    answer = f"{type(exc).__name__}: {exc}"
                connection.sendall(json.dumps(answer).encode())


def systemctl(path: str, words: list[str]) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(json.dumps(words).encode())
        if answer := json.loads(connection.recv(1 << 16)):
            sys.exit(answer)


def run(name: str, descriptors: list[int]) -> None:
    """Becomes the service."""
    service = unit(name)
    user = pwd.getpwnam(service["User"][-1])
    state = Path("/var/lib", service["StateDirectory"][-1])
    filter_ = seccomp_filter(service["SystemCallFilter"])
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
        "LANG": "C.UTF-8",
        "HOME": user.pw_dir,
        "USER": user.pw_name,
        "STATE_DIRECTORY": str(state),
        "LISTEN_FDS": str(len(descriptors)),
        "LISTEN_PID": str(os.getpid()),
    }
    for file in service["EnvironmentFile"]:
        lines = (line for line in Path(file).read_text().splitlines() if line and not line.startswith("#"))
        environment |= dict(line.split("=", 1) for line in lines)
    make_read_only(state)
    for at, descriptor in enumerate(descriptors, 3):
        os.dup2(descriptor, at)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = min(int(service["LimitNOFILE"][-1]), hard)  # in a sandbox, not even root may raise it
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    os.umask(int(service["UMask"][-1], 8))
    os.chdir("/")
    drop_rights(user, filter_)
    command = shlex.split(service["ExecStart"][-1])
    os.execve(command[0], command, environment)


def make_read_only(state: Path) -> None:
    """ProtectSystem=strict, PrivateTmp=yes and ProtectProc=invisible."""
    check(LIBC.unshare(CLONE_NEWNS))
    mount("--make-rprivate", "/")
    mount("--bind", str(state), str(state))
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    kept = ("/dev", "/proc", "/sys", str(state))
    for point in points:
        if not any(point == each or point.startswith(each + "/") for each in kept):
            with contextlib.suppress(subprocess.CalledProcessError):  # hidden under a later mount
                mount("-o", "remount,bind,ro", point)
    mount("-t", "tmpfs", "-o", "mode=1777", "none", "/tmp")
    mount("-t", "tmpfs", "-o", "mode=1777", "none", "/var/tmp")
    mount("-t", "proc", "-o", "hidepid=invisible", "proc", "/proc")


def drop_rights(user: pwd.struct_passwd, filter_: bytes) -> None:
    """CapabilityBoundingSet=, User=, NoNewPrivileges=yes, MemoryDenyWriteExecute=yes and SystemCallFilter=."""
    for capability in range(int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1):
        check(LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0))
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    check(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    LIBC.prctl(PR_SET_MDWE, 1, 0, 0, 0)  # older kernels do not know it
    code = ctypes.create_string_buffer(filter_, len(filter_))
    program = struct.pack("HxxxxxxP", len(filter_) // 8, ctypes.addressof(code))
    check(LIBC.prctl(PR_SET_SECCOMP, 2, program, 0, 0))


def seccomp_filter(settings: list[str]) -> bytes:
    """A program that only lets these system calls through; a setting that begins with ~ takes calls away."""
    numbers = {name: int(number) for name, number in _NUMBER.findall(_header().read_text())}
    allowed: set[str] = calls("@default")
    for setting in settings:
        for word in setting.lstrip("~").split():
            allowed = allowed - calls(word) if setting.startswith("~") else allowed | calls(word)
    program = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _X86_64), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    for number in sorted(numbers[name] for name in allowed & numbers.keys()):
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    program.append((_RETURN, 0, 0, _EPERM))
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def calls(word: str) -> set[str]:
    """The system calls of a set that systemd defines, or one call."""
    if not word.startswith("@"):
        return {word}
    command = ["systemd-analyze", "syscall-filter", word]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    names = (line.strip() for line in lines[1:])
    return {call for name in names if name and not name.startswith("#") for call in calls(name)}


def _header() -> Path:
    return next(Path("/usr/include").glob("**/asm/unistd_64.h"))


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, stderr=subprocess.DEVNULL)


def check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    mode, *rest = sys.argv[1:]
    if mode == "manager":
        manager(rest[0])
    elif mode == "systemctl":
        systemctl(rest[0], rest[1:])
    else:
        run(rest[0], [int(each) for each in rest[1:]])
