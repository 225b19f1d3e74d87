"""Whatever a terminal can send or refuse: each command ends with one sentence and an exit status."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from api.cli.main import COMMANDS, main
from tests.paths import ROOT
from tests.ports import free_port
from tests.unit.api.cli.fake_service import RunningService, running_service

PROGRAM = [sys.executable, "-m", "api.cli.main"]
#: A program that shows the help of every command, and ends with the first status that is not 0.
HELP_OF_ALL = """
from api.cli.main import COMMANDS, main

for command in COMMANDS:
    try:
        main([command, "--help"])
    except SystemExit as end:
        if end.code:
            raise
"""
#: A program that runs commands one after the other, each with its variables, and shows the status, output and errors of
#: each as JSON. To start a program takes most of the time of a command that is refused.
RUN_ALL = """
import json, os, sys, tempfile

from api.cli.main import main

shown, results = os.dup(1), []
for arguments, variables in json.loads(sys.argv[1]):
    os.environ.update(variables)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code or 0
        for stream, file in ((sys.stdout, out), (sys.stderr, err)):
            stream.flush()
            file.seek(0)
        results.append((code, out.read().decode(), err.read().decode()))
    for name in variables:
        del os.environ[name]
os.write(shown, json.dumps(results).encode())
"""
#: Commands that ask a service, with everything that they need.
ASKING: tuple[tuple[str, ...], ...] = (
    ("accounts", "create", "x"),
    ("accounts", "list"),
    ("users", "list"),
    ("users", "remove", "a@b.example"),
    ("keys", "list"),
    ("loops", "list"),
    ("loops", "show", "fl_1"),
    ("loops", "create", "https://h.example/", "--trigger", "open"),
    ("loops", "verify", "fl_1"),
    ("loops", "proof", "fl_1"),
    ("loops", "secret", "fl_1"),
    ("loops", "test", "fl_1"),
    ("loops", "check"),
    ("messages", "register", "a@b.example"),
    ("messages", "list"),
    ("events", "list"),
    ("events", "tail", "--count", "1"),
    ("events", "report", "--type", "bounce", "--message", "m"),
    ("reports", "list"),
    ("reports", "show", "rep_1"),
    ("deliveries", "list", "fl_1"),
    ("replay", "start", "fl_1", "--since", "1h"),
    ("bench", "--loop", "fl_1", "--clicks", "1"),
)


@pytest.fixture
def service(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    with running_service(capsys, monkeypatch) as running:
        yield running


def started(
    arguments: Sequence[str | bytes], environment: dict[str, str], program: Sequence[str] = PROGRAM, **how: Any
) -> subprocess.Popen[bytes]:
    settings = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment}
    pipes: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "cwd": ROOT,
    }
    return subprocess.Popen([*program, *arguments], env=settings, **(pipes | how))


def ended(process: subprocess.Popen[bytes], sent: bytes | None = None, timeout_s: float = 30) -> tuple[int, str, str]:
    out, err = process.communicate(sent, timeout=timeout_s)
    return process.returncode, (out or b"").decode(), (err or b"").decode()


def run(*arguments: str | bytes, sent: Any = None, **environment: str) -> tuple[int, str, str]:
    stdin = subprocess.DEVNULL if sent is None else subprocess.PIPE
    return ended(started(arguments, {"FEEDBACK_LOOPS_API_KEY": "k", **environment}, stdin=stdin), sent)


Arguments = Sequence[str | bytes]


def run_all(
    *commands: Arguments, environment: dict[str, str] | None = None, variables: Sequence[dict[str, str]] = ()
) -> list[tuple[int, str, str]]:
    """Results of commands that one process runs. `variables`: of each command, if they have any."""
    texts = [list(map(os.fsdecode, arguments)) for arguments in commands]
    of_each = variables or [{} for _ in commands]
    program = [sys.executable, "-c", RUN_ALL, json.dumps(list(zip(texts, of_each, strict=True)))]
    process = started((), {"FEEDBACK_LOOPS_API_KEY": "k"} | (environment or {}), program=program)
    code, out, err = ended(process, timeout_s=60)
    assert (code, err) == (0, ""), (code, out, err)
    return [(code, out, err) for code, out, err in json.loads(out)]


def check(result: tuple[int, str, str], *codes: int) -> str:
    """The text on standard error, which must not be a traceback."""
    code, out, err = result
    assert code in codes, (code, out, err)
    assert "Traceback" not in out + err
    assert "Exception ignored" not in err
    assert "unexpected error" not in err, err
    return err


NOT_TEXT: tuple[tuple[str | bytes, ...], ...] = (
    (b"\xff",),
    ("loops", b"\xff"),
    ("loops", "show", b"fl_\xff"),
    ("loops", "create", b"https://h.example/\xe9", "--trigger", "open"),
    ("messages", "register", b"jos\xe9@example.com"),
    ("messages", "register", "--lines", b"no\xfffile"),
    ("accounts", "create", b"\xed\xa0\x80"),
    ("serve", "--data-dir", b"/tmp/\xff"),
    ("listen", "--port", "0", "--host", b"\xff"),
    ("demo", b"--svg=\xff"),
    ("backup", b"\xff"),
)


def test_arguments_that_are_not_text_are_refused() -> None:
    """The sentence names the argument's position."""
    for result in (run(*NOT_TEXT[0]), *run_all(*NOT_TEXT)):
        err = check(result, 2)

        assert err.startswith("feedback-loops: argument ")
        assert len(err.splitlines()) == 1


def test_variables_that_are_not_text_are_refused() -> None:
    """Whatever is in the environment, commands end with a sentence."""
    values = ("\udcff", "http://\udcff", "http://[", "http://a..b", "http://é\u200d", "http://h:99999")
    for name in ("FEEDBACK_LOOPS_URL", "FEEDBACK_LOOPS_API_KEY", "FEEDBACK_LOOPS_PUBLIC_URL"):
        variables = [{"FEEDBACK_LOOPS_URL": "http://127.0.0.1:9", name: value} for value in values]
        for result in run_all(*[("loops", "list") for _ in values], variables=variables):
            check(result, 2, 3)
    variables = [{"FEEDBACK_LOOPS_PUBLIC_URL": value} for value in values]
    for result in run_all(*[("serve", "--port", "http") for _ in values], variables=variables):
        check(result, 2)
    check(run("loops", "list", FEEDBACK_LOOPS_URL="http://\udcff"), 2, 3)


@pytest.mark.parametrize(
    "environment",
    [
        {"COLUMNS": "1"},
        {"COLUMNS": "0"},
        {"COLUMNS": "wide"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1:strict", "TERM": "unknown"},
    ],
    ids=str,
)
def test_help_is_shown_everywhere(environment: dict[str, str]) -> None:
    """Help of every command works in every width and in every character set; one process shows them all."""
    process = started((), environment, program=[sys.executable, "-c", HELP_OF_ALL])
    code, out, err = ended(process)

    assert check((code, out, err), 0) == ""
    assert [command for command in COMMANDS if f"feedback-loops {command}" not in " ".join(out.split())] == []


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
@pytest.mark.parametrize("arguments", [("--help",), ("loops", "list"), ("events", "tail"), ("listen", "--port", "x")])
def test_closed_streams_are_no_surprise(stream: str, arguments: tuple[str, ...]) -> None:
    """`>&-` and the like: the command ends as it would otherwise."""
    number = ("stdin", "stdout", "stderr").index(stream)
    line = f'exec "$0" "$@" {number}>&-'
    settings = {"FEEDBACK_LOOPS_API_KEY": "k", "FEEDBACK_LOOPS_URL": "http://127.0.0.1:9", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["/bin/sh", "-c", line, *PROGRAM, *arguments],
        env=settings,
        cwd=ROOT,
        capture_output=True,
        timeout=30,
        check=False,
    )

    check((done.returncode, done.stdout.decode(), done.stderr.decode()), 0, 2, 3)


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("loops", "--help"), ("serve", "--help"), ()])
def test_a_reader_that_has_had_enough_ends_the_command_quietly(arguments: tuple[str, ...]) -> None:
    """As with `| head -0`: no message, and no traceback at the end."""
    reading, writing = os.pipe()
    os.close(reading)
    process = started(arguments, {}, stdout=writing)
    os.close(writing)

    assert check(ended(process), 0) == ""


@pytest.mark.parametrize("environment", [{}, {"PYTHONUNBUFFERED": "1"}], ids=str)
@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("events", "--help"), ("loops", "create", "--help")]
)
def test_a_full_disk_is_reported(arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    """Output that cannot be written is an error, whether it is written at once or at the end."""
    with Path("/dev/full").open("wb") as full:
        err = check(ended(started(arguments, environment, stdout=full)), 1)

    assert err.endswith(": No space left on device\n")
    assert len(err.splitlines()) == 1


def test_an_output_without_unicode_gets_escapes(service: RunningService) -> None:
    """JSON stays JSON, and tables show escapes; the name is in both."""
    service.request_json("PATCH", f"/v1/feedback-loops/{service.loop()}", json={"description": "Zoë 😀 …\u2028"})
    for arguments in (("--json",), ()):
        code, out, err = run("loops", "list", *arguments, **service.environment, PYTHONIOENCODING="ascii")
        assert (code, err) == (0, "")
        assert out.isascii()
    code, out, _ = run("loops", "list", "--json", **service.environment, PYTHONIOENCODING="ascii")
    assert [loop["description"] for loop in json.loads(out)] == ["Zoë 😀 …\u2028"]


def test_surrogates_in_json_are_refused(service: RunningService) -> None:
    """Half of a surrogate pair is no text that can be sent."""
    loop = service.loop(active=True)
    err = check(run("loops", "test", loop, "--data", '{"a": "\\ud800"}', **service.environment), 2)
    assert "surrogate" in err
    err = check(run("loops", "test", loop, "--data", '{"a":' * 9000, **service.environment), 2)
    assert "JSON" in err


ENCODINGS: tuple[dict[str, str], ...] = ({}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"})
#: Commands that read a file. The recipient and the lines exclude each other.
READING = {"--lines": ("messages", "register"), "--html": ("messages", "register", "a@b.example")}


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_odd_input_is_refused(service: RunningService, encoding: dict[str, str], tmp_path: Path) -> None:
    """Standard input and files that are empty or not UTF-8."""
    environment, inputs = service.environment | encoding, (b"\xff\xfe", b"\xed\xa0\x80", b"")
    for number, sent in enumerate(inputs):
        (tmp_path / str(number)).write_bytes(sent)
    files = [str(tmp_path / str(number)) for number in range(len(inputs))]
    commands = [(*READING[option], option, file) for option in READING for file in files]
    for result in run_all(*commands, environment=environment):
        check(result, 0, 1, 2)
    for sent in inputs:
        check(run(*READING["--lines"], "--lines", "-", sent=sent, **environment), 0, 1, 2)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_files_that_cannot_be_read_are_refused(
    service: RunningService, encoding: dict[str, str], tmp_path: Path
) -> None:
    """Directories, missing files, and files whose reading fails."""
    names = (str(tmp_path), str(tmp_path / "none"), "/proc/self/mem")
    commands = [(*READING[option], option, name) for option in READING for name in names]
    for result in run_all(*commands, environment=service.environment | encoding):
        check(result, 1, 2)


def test_html_keeps_its_bytes_in_every_locale(service: RunningService, tmp_path: Path) -> None:
    """Line ends and characters that the terminal lacks are written as they were read."""
    html = "<p>Zoë 😀\r\n<br>\r…</p>".encode()
    (tmp_path / "mail.html").write_bytes(html)
    arguments = ("messages", "register", "a@b.example", "--html", str(tmp_path / "mail.html"))
    process = started(arguments, service.environment | {"PYTHONIOENCODING": "ascii"})
    out, _ = process.communicate(timeout=30)

    assert out.startswith(html)


class Anything(BaseHTTPRequestHandler):
    """A server that gives the same answer to everything."""

    answer = (200, "text/html", b"<html>")

    def do_GET(self) -> None:
        status, content_type, body = self.answer
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if status in {301, 302}:
            self.send_header("Location", "https://elsewhere.example/")
        if content_type == "gzip":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_DELETE = do_PATCH = do_PUT = do_GET  # noqa: N815 - the base class calls them so

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


@contextmanager
def answering(*answer: object) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Made", (Anything,), {"answer": answer}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


ANSWERS = {
    "HTML": (200, "text/html", b"<html>hello</html>"),
    "nothing": (200, "text/html", b""),
    "a list": (200, "application/json", b"[]"),
    "another object": (200, "application/json", b'{"ok": true}'),
    "deep JSON": (200, "application/json", b'{"a":' * 50_000),
    "a long number": (200, "application/json", b"9" * 10_000),
    "not UTF-8": (200, "application/json", b'{"id": "\xff"}'),
    "half a pair": (200, "application/json", b'{"id": "\\ud800"}'),
    "not gzip": (200, "gzip", b"hello"),
    "a redirect": (301, "text/html", b""),
    "an error page": (404, "text/html", b"<html>"),
    "an odd problem": (422, "application/problem+json", b'{"errors": 5, "title": [], "detail": {}, "type": 7}'),
    "odd errors": (422, "application/problem+json", b'{"errors": [5, {"pointer": 7}, null]}'),
    "a list as a problem": (500, "application/problem+json", b"[]"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_of_another_server_are_understood_as_such(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the wrong URL, every command that asks a service ends with a sentence about the answer."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    with answering(*ANSWERS[name]) as url:
        for variable, value in (("URL", url), ("ADMIN_KEY", "k"), ("API_KEY", "k")):
            monkeypatch.setenv(f"FEEDBACK_LOOPS_{variable}", value)
        for arguments in ASKING:
            where = ("--url", url) if arguments[0] == "bench" else ()
            with pytest.raises(SystemExit) as end:
                main([*arguments, *where])
            shown = capsys.readouterr()
            err = check((int(end.value.code or 0), shown.out, shown.err), 1, 3)
            assert err, arguments


def test_a_server_that_is_not_there_or_hangs_up(service: RunningService) -> None:
    """A refused connection, a name that does not exist, and a server that closes at once end with 3."""
    with socket.create_server(("127.0.0.1", 0)) as mute:

        def hang_up() -> None:
            for _ in range(2):
                mute.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        for url in (
            f"http://127.0.0.1:{free_port()}",
            "http://name.invalid",
            f"http://127.0.0.1:{mute.getsockname()[1]}",
        ):
            err = check(run("loops", "list", FEEDBACK_LOOPS_URL=url), 3)
            assert url in err
            assert len(err.splitlines()) == 1
        socket.create_connection(mute.getsockname()).close()
        thread.join()


def on_a_terminal(arguments: Sequence[str], sent: bytes, environment: dict[str, str]) -> tuple[int, str]:
    """The exit status and the output of a command on a terminal, after these keys."""
    ours, theirs = pty.openpty()
    process = started(arguments, environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    os.write(ours, sent)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the terminal is closed
            break
        shown += part
    os.close(ours)
    return process.wait(30), shown.decode(errors="replace")


@pytest.mark.parametrize("keys", [b"\x04", b"\n", b"n\n", b"\xff\xfe\n", b"\x1b[A\n", b"yes please\n"])
def test_a_question_that_is_not_answered_with_yes_changes_nothing(service: RunningService, keys: bytes) -> None:
    """End of file, an empty line and noise at a prompt mean no."""
    loop = service.loop()
    code, shown = on_a_terminal(("loops", "delete", loop), keys, service.environment)

    assert code == 1
    assert "Traceback" not in shown
    assert service.request_json("GET", f"/v1/feedback-loops/{loop}")["id"] == loop


@pytest.mark.parametrize("arguments", [("events", "tail"), ("listen", "--port", "0")])
def test_ctrl_c_ends_with_130(service: RunningService, arguments: tuple[str, ...]) -> None:
    """Without a word, however often it is pressed."""
    process = started(arguments, service.environment)
    assert process.stderr is not None
    process.stderr.readline()  # it waits
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process)

    assert (code, out, err) == (130, "", "")


NO_URLS = ("http://[::1", "http://h:port", "http://h:99999", "http://", "ftp://h", "http://é..é")


def test_a_url_that_is_none_is_a_misuse() -> None:
    """Nothing is requested, and the sentence repeats the URL."""
    commands = (("loops", "list"), ("events", "tail"), ("bench", "--loop", "fl_1"))
    asked = [((*command, "--url", url), url) for url in NO_URLS for command in commands]
    for result, (_, url) in zip(run_all(*(command for command, _ in asked)), asked, strict=True):
        err = check(result, 2)
        assert url in err
        assert len(err.splitlines()) == 1
    examined = run_all(*(("doctor", "--url", url) for url in NO_URLS))
    for url, (code, out, _) in zip(NO_URLS, examined, strict=True):
        assert (code, f"{url} is not a URL" in out or "must start with http" in out) == (1, True)


def test_a_key_that_can_be_none_is_a_misuse() -> None:
    """The sentence says what is wrong with it, instead of asking for what was given."""
    commands = (("loops", "list", "--key", "é"), ("loops", "list", "--key", "a\nb"))
    for result in (*run_all(*commands), run("bench", "--loop", "fl_1", FEEDBACK_LOOPS_API_KEY="é")):
        assert "a character that no key has" in check(result, 2)


def test_an_empty_id_is_a_misuse() -> None:
    """It would make another path, with another answer."""
    commands = (("loops", "show", ""), ("profiles", "show", "1", ""), ("keys", "revoke", ""), ("reports", "show", ""))
    for result in run_all(*commands):
        assert "an id must not be empty" in check(result, 2)


def test_an_id_of_dots_is_a_misuse() -> None:
    """HTTP clients resolve it, so it would make another path, too."""
    ids = (".", "..")
    results = run_all(*(("profiles", "delete", "1", "p", "--subprofile", id_, id_) for id_ in ids))
    for id_, result in zip(ids, results, strict=True):
        assert f"an id must not be {id_}" in check(result, 2)


def test_listen_refuses_files_and_directories_in_the_wrong_place(tmp_path: Path) -> None:
    """Both may be made later, but neither can be the other."""
    file = tmp_path / "file"
    file.write_text("x")
    assert f"{tmp_path} is a directory" in check(run("listen", "--port", "0", "--secret-file", str(tmp_path)), 2)
    assert f"{file} is not a directory" in check(run("listen", "--port", "0", "--dir", str(file)), 2)


def test_directories_and_files_in_the_wrong_place_are_reported(tmp_path: Path) -> None:
    """Commands on data directories name what they cannot use."""
    file = tmp_path / "file"
    file.write_text("x")
    commands: tuple[tuple[str, ...], ...] = (
        ("backup", str(file)),
        ("backup", str(tmp_path / "a"), "--data-dir", str(file)),
        ("backup", str(file / "below"), "--data-dir", str(tmp_path)),
        ("restore", str(file), "--data-dir", str(tmp_path / "b"), "--no-erasures"),
        ("restore", str(tmp_path), "--data-dir", str(file), "--no-erasures"),
        ("migrate", "--data-dir", str(file), "--store", "postgresql://h/d"),
        ("migrate", "--data-dir", str(tmp_path / "none"), "--store", "postgresql://h/d"),
        ("serve", "--data-dir", str(file), "--port", "0"),
        ("serve", "--data-dir", str(file / "below"), "--port", "0"),
        ("serve", "--host", "name.invalid", "--data-dir", str(tmp_path / "c")),
        ("serve", "--host", "a..b", "--data-dir", str(tmp_path / "c")),
        ("listen", "--port", "0", "--host", "name.invalid"),
        ("listen", "--port", "0", "--host", "a..b"),
        ("demo", "--svg"),
        ("backup", "~no-such-user/x"),
        ("restore", "~no-such-user/x"),
        ("migrate", "--data-dir", "~no-such-user/x", "--store", "postgresql://h/d"),
        ("serve", "--data-dir", "~no-such-user/x"),
    )
    for arguments, result in zip(commands, run_all(*commands), strict=True):
        assert check(result, 1, 2), arguments
    check(run("doctor", "--data-dir", str(file), "--url", "http://127.0.0.1:9"), 0, 1)
