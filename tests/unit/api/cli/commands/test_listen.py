"""The sample handler: verification files, signatures, and its output."""

from __future__ import annotations

import http.client
import io
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from standardwebhooks import Webhook

from api.cli.commands import listen
from api.cli.commands.signature_check import TOLERANCE_S, read_secret, signature_problem
from api.cli.event_rendering import ReceivedEvent, rendered
from api.cli.php_form import read_form
from api.cli.sample_handler import SampleHandler, SampleServer, Secrets
from domain.payload import encode_form, encode_json
from domain.signers.standard_webhooks import standard_webhooks_signature
from domain.signing import secret_text

SECRET = b"0123456789abcdef01234567"
OTHER = b"another-secret-of-24-byt"
EVENT: dict[str, object] = {
    "type": "click",
    "event": "evt_1",
    "recipient": "zoë@example.com",
    "tags": ["spring", "a&b"],
    "fields": {"name": "Zoë", "address": {"city": "Amsterdam"}},
}


def signed(body: bytes, *secrets: bytes, at_s: int | None = None) -> dict[str, str]:
    at = int(time.time()) if at_s is None else at_s
    signature = standard_webhooks_signature(secrets, "evt_1", at, body)
    return {"webhook-id": "evt_1", "webhook-timestamp": str(at), "webhook-signature": signature}


@contextmanager
def listening(
    shown: list[ReceivedEvent],
    secrets: Callable[[], list[bytes]] = list,
    files: dict[str, str] | None = None,
    folder: Path | None = None,
    status: int = 200,
) -> Iterator[http.client.HTTPConnection]:
    """A server, and one connection to it."""
    sample = SampleHandler(lambda: Secrets(secrets()), files or {}, folder, status, shown.append)
    server = SampleServer("127.0.0.1", 0, sample)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        yield connection
    finally:
        connection.close()
        server.shutdown()
        server.server_close()
        thread.join()


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, bytes]:
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.read()


def post(connection: http.client.HTTPConnection, body: bytes, kind: str, headers: dict[str, str]) -> int:
    return ask(connection, "POST", "/dir/script.php", body, Content_Type=kind, **headers)[0]


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/json"])
def test_events_are_shown_as_they_were_sent(kind: str) -> None:
    """A form and a JSON body show the same fields, and a valid signature is reported as valid."""
    body = encode_json(EVENT) if kind.endswith("json") else encode_form(EVENT)
    shown: list[ReceivedEvent] = []
    with listening(shown, lambda: [SECRET]) as connection:
        assert post(connection, body, kind, signed(body, SECRET)) == 200

    (event,) = shown
    assert event.fields == EVENT
    assert (event.path, event.signature) == ("/dir/script.php", "ok")
    assert ReceivedEvent.from_json(event.to_json()) == event


def test_a_bad_signature_is_refused_and_shown() -> None:
    """An event signed with another secret, or not at all, gets 400; without a secret nothing is checked."""
    body = encode_form(EVENT)
    shown: list[ReceivedEvent] = []
    with listening(shown, lambda: [SECRET]) as connection:
        assert post(connection, body, "application/x-www-form-urlencoded", signed(body, OTHER)) == 400
        assert post(connection, body, "application/x-www-form-urlencoded", {}) == 400
    with listening(shown) as connection:
        assert post(connection, body, "application/x-www-form-urlencoded", {}) == 200

    assert [event.signature for event in shown] == [
        "the signature is not made with this secret",
        "not signed: a webhook-… header is missing",
        None,
    ]


def test_broken_requests_are_harmless() -> None:
    """An unreadable body gets 400, one of unknown length 411, and the next event is accepted."""
    shown: list[ReceivedEvent] = []
    with listening(shown) as connection:
        assert post(connection, b"[1]", "application/json", {}) == 400
        assert post(connection, b"a=%ff", "application/x-www-form-urlencoded", {}) == 400
        connection.putrequest("POST", "/")
        connection.putheader("Content-Length", "many")
        connection.endheaders()
        answer = connection.getresponse()
        assert (answer.status, answer.read()[:6]) == (411, b"send a")
        assert post(connection, b"type=open", "application/x-www-form-urlencoded", {}) == 200
    assert shown[-1].fields == {"type": "open"}


def test_verification_files_are_found_by_name(tmp_path: Path) -> None:
    """A given verification file, or one in the folder, is served in any directory; no other file of the folder is."""
    (tmp_path / "feedback-loops-a.txt").write_text("content a")
    (tmp_path / "secret").write_text("secret")
    with listening([], files={"feedback-loops-b.txt": "content b"}, folder=tmp_path) as connection:
        assert ask(connection, "GET", "/dir/feedback-loops-a.txt?x=1") == (200, b"content a")
        assert ask(connection, "GET", "/feedback-loops-b.txt") == (200, b"content b")
        assert ask(connection, "HEAD", "/feedback-loops-b.txt") == (200, b"")
        for path in (
            "/feedback-loops-c.txt",
            "/secret",
            "/",
            "/feedback-loops-%2e%2e%2fsecret",
            "/feedback-loops-%00.txt",
        ):
            assert ask(connection, "GET", path)[0] == 404, path


def test_the_status_is_the_requested_one() -> None:
    """`--status 503` makes a handler that fails."""
    with listening([], status=503) as connection:
        assert post(connection, b"type=open", "application/x-www-form-urlencoded", {}) == 503


@pytest.mark.parametrize("status", [200, 201, 204, 205, 304, 410, 503, 599])
def test_a_kept_connection_stays_in_step(status: int) -> None:
    """Statuses without content have none (RFC 9110), so the next answer on the connection is read as it was sent."""
    with listening([], status=status) as connection:
        for _ in range(3):
            connection.request("POST", "/", b"type=open", {"Content-Type": "application/x-www-form-urlencoded"})
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == status
            assert (body == b"") == (status in {204, 205, 304})
            assert (answer.headers["Content-Length"] is None) == (status in {204, 304})
            assert ask(connection, "GET", "/") == (404, b"not here\n")


def test_a_client_may_wait_for_100_continue() -> None:
    """curl sends a large body only after the server has answered 100."""
    with listening([]) as connection, socket.create_connection((connection.host, connection.port), 10) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 100 ")
        raw.sendall(b"type=open")
        assert raw.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_head_and_body_go_out_together() -> None:
    """One write each, so no client waits for Nagle's algorithm and its own delayed acknowledgement."""
    with listening([]) as connection, socket.create_connection((connection.host, connection.port), 10) as raw:
        for _ in range(20):
            raw.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\ntype=open")
            assert raw.recv(4096).endswith(b"\r\n\r\nthank you\n")


@pytest.mark.alone
def test_answers_on_a_kept_connection_are_quick() -> None:
    """95 % of the answers arrive within 10 ms, far below the 40 ms of a delayed acknowledgement."""
    with listening([]) as connection:
        times = []
        for _ in range(200):
            began = time.perf_counter()
            assert post(connection, b"type=open", "application/x-www-form-urlencoded", {}) == 200
            times.append(time.perf_counter() - began)

    assert sorted(times)[190] < 0.01


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 100_000, id="arrays"),
        pytest.param(b'{"a":' * 100_000, id="objects"),
        pytest.param(b'{"a":' * 900 + b"1" + b"}" * 900, id="closed objects"),
        pytest.param(b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", id="closed arrays"),
        pytest.param(b'{"a":[' + b"[]," * 2_000_000 + b"[]]}", id="many arrays"),
        pytest.param(b'{"a":' + b"9" * 1_000_000 + b"}", id="a long number"),
        pytest.param(b'{"a":1e999}', id="a large number"),
        pytest.param(b'{"a":"\\ud800"}', id="half a surrogate pair"),
        pytest.param(b'{"a":"\xff"}', id="not UTF-8"),
        pytest.param(b'{"a":1,"a":2}', id="a repeated name"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"null", id="null"),
    ],
)
def test_hostile_json_is_refused_and_shown(body: bytes) -> None:
    """Such a body gets 400 and one line, and the next event is accepted."""
    shown: list[ReceivedEvent] = []
    with listening(shown) as connection:
        assert post(connection, body, "application/json", {}) == 400
        assert post(connection, b'{"type":"open"}', "application/json", {}) == 200
    assert str(shown[0].signature).startswith("the body cannot be read: ")
    assert len(rendered(shown[0], 80).plain) < 1000
    assert shown[1].fields == {"type": "open"}


MIB = 1024 * 1024


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"&".join([b"a[]="] * 90_000), id="a[]="),
        pytest.param(b"&".join([b"a[][]="] * 90_000), id="a[][]="),
        pytest.param(b"&".join(b"a[%d]=" % n for n in range(90_000)), id="a[n]="),
        pytest.param(b"&".join(b"a[%d][]=&a[]=" % n for n in range(45_000)), id="a[n][]="),
        pytest.param(b"&".join(b"k%d=" % n for n in range(90_000)), id="many names"),
        pytest.param(b"&".join([b"a=1&a[b]=2"] * 45_000), id="text and map in turn"),
        pytest.param(b"&".join([b"a" + b"[b]" * 60 + b"="] * 90_000), id="deep and many"),
        pytest.param(b"a=" + b"x" * 30 * MIB, id="a long value"),
        pytest.param(b"a" * 30 * MIB + b"=", id="a long name"),
        pytest.param(b"a=" + b"%1b" * 2 * MIB, id="escapes"),
        pytest.param(b"a[" * 15 * MIB, id="brackets"),
        pytest.param(b"a" + b"[b]" * 3 * MIB + b"=", id="a deep name"),
        pytest.param(b"&" * 30 * MIB, id="separators"),
        pytest.param(b"a&" * 15 * MIB, id="too many fields"),
        pytest.param(b"a[" + b"9" * 10_000 + b"]=&a[]=", id="a long number as a key"),
    ],
)
def test_hostile_forms_take_linear_time(body: bytes) -> None:
    """Reading and showing the largest bodies takes seconds at most, whatever is in them."""
    began = time.process_time()
    try:
        fields = read_form(body)
    except ValueError:
        fields = {}
    event = ReceivedEvent(at_ns=1, path="/", fields=fields, signature=None)
    shown = rendered(event, 80)

    assert time.process_time() - began < 5
    assert len(shown.plain) < 2 * MIB


def test_events_larger_than_the_screen_are_cut() -> None:
    """The terminal shows the beginning of long values and the first of many fields; `--json` shows everything."""
    fields = {"type": "open", "mime": "x" * 500_000, **{f"field{n}": "y" for n in range(1000)}}
    event = ReceivedEvent(at_ns=1, path="/", fields=fields, signature=None)
    shown = rendered(event, 80).plain

    assert "(496000 more characters)" in " ".join(shown.split())
    assert "and 801 more fields" in shown
    assert json.loads(event.to_json())["fields"] == fields


@pytest.mark.parametrize("length", ["-1", "+1", "1_0", "0" * 12 + "9" * 20, "9" * 5000, "\xb2", "33554433", ""])
def test_odd_lengths_are_refused(length: str) -> None:
    """A length that is not a plain number of at most 32 MiB gets 411."""
    with listening([]) as connection:
        connection.putrequest("POST", "/")
        connection.putheader("Content-Length", length.encode("latin-1"))
        connection.endheaders()
        assert connection.getresponse().status == 411


def test_a_client_that_goes_away_leaves_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither half a request nor a reset connection shows anything."""
    shown: list[ReceivedEvent] = []
    with listening(shown) as connection:
        for data in (b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf", b"GET", b"\x16\x03\x01\x00", b"\r\n"):
            with socket.create_connection((connection.host, connection.port), 10) as raw:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                raw.sendall(data)
        assert post(connection, b"type=open", "application/x-www-form-urlencoded", {}) == 200
    assert [event.fields for event in shown] == [{"type": "open"}]
    assert capsys.readouterr() == ("", "")


def test_the_server_ends_when_the_output_is_closed() -> None:
    """`listen --json | head -1` ends with the next event, as if it had been stopped."""

    def show(_event: ReceivedEvent) -> None:
        raise BrokenPipeError

    server = SampleServer("127.0.0.1", 0, SampleHandler(lambda: Secrets([]), {}, None, 200, show))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    with pytest.raises(http.client.HTTPException):
        post(connection, b"type=open", "application/x-www-form-urlencoded", {})
    thread.join(10)
    server.server_close()

    assert not thread.is_alive()
    assert isinstance(server.failure, BrokenPipeError)


def test_the_secret_may_come_later(tmp_path: Path) -> None:
    """The secret's file is read at each event: it may be missing at first and change later, and errors are reported."""
    file = tmp_path / "secret"
    assert listen.secrets_of([OTHER], file) == ([OTHER], f"{file} does not exist")
    file.write_text("")
    assert listen.secrets_of([], file) == ([], f"{file} is empty")
    for text in (f"{secret_text(SECRET)}\n", json.dumps({"id": "fl_1", "secret": secret_text(SECRET)})):
        file.write_text(text)
        assert listen.secrets_of([], file) == ([SECRET], None)
    for text in ("whsec_half…", '{"title": "no"}', "{"):
        file.write_text(text)
        keys, problem = listen.secrets_of([], file)
        assert keys == []
        assert problem is not None
        assert problem.startswith(f"{file} does not contain a secret: ")


def test_an_unusable_secret_is_reported() -> None:
    """When a file is given but the signature was not checked, the output gives the reason."""
    event = ReceivedEvent(at_ns=1, path="/", fields=EVENT, signature=None, unchecked="secret is empty")

    assert "signature not checked: secret is empty" in rendered(event, 80).plain
    assert ReceivedEvent.from_json(event.to_json()) == event


def test_invalid_options_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """A malformed secret or verification file is refused with a description of the right format."""
    for arguments, complaint in (
        (["--secret", "abc"], "a secret is whsec_ and base64"),
        (["--verification", "x=y"], "must be feedback-loops-"),
        (["--port", "99999"], "must be a whole number from 0 to 65535"),
        (["--port", "1", "--status", "999"], "must be a whole number from 200 to 599"),
        (["--port", "1", "--stat", "200"], "--stat"),
        ([], "--port"),
    ):
        with pytest.raises(SystemExit):
            listen.parser().parse_args(arguments)
        assert complaint in capsys.readouterr().err


def test_a_port_in_use_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """If another process listens on the port, the command ends with 1 and names the port."""
    with listening([]) as connection:
        assert listen.run(["--port", str(connection.port)], {}) == 1
        assert f"port {connection.port}" in capsys.readouterr().err


def test_our_check_agrees_with_the_reference() -> None:
    """The reference library of Standard Webhooks and our check accept each other's signatures."""
    body = encode_json({"type": "open"})
    reference = Webhook(secret_text(SECRET))
    headers = signed(body, OTHER, SECRET)

    assert signature_problem([SECRET], headers, body, int(time.time())) is None
    assert reference.verify(body, headers) == {"type": "open"}
    assert read_secret(secret_text(SECRET)) == SECRET


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"webhook-timestamp": "soon"}, "not a time"),
        ({"webhook-timestamp": "9" * 30}, "not a time"),
        ({"webhook-id": "evt_2"}, "not made with this secret"),
        ({"webhook-signature": "v1,é v1a,x"}, "not made with this secret"),
    ],
)
def test_changed_headers_are_detected(change: dict[str, str], complaint: str) -> None:
    """Any change of a signed part is detected, whatever replaces it."""
    headers = signed(b"body", SECRET) | change

    assert complaint in (signature_problem([SECRET], headers, b"body", int(time.time())) or "")


@pytest.mark.parametrize("offset_s", [-TOLERANCE_S - 1, TOLERANCE_S + 1])
def test_old_and_early_posts_are_detected(offset_s: int) -> None:
    """A POST signed too long ago, or in the future, may be a replay."""
    headers = signed(b"body", SECRET, at_s=1_000_000)

    assert signature_problem([SECRET], headers, b"body", 1_000_000) is None
    assert "signed" in (signature_problem([SECRET], headers, b"body", 1_000_000 + offset_s) or "")


TEXT = st.text(st.characters(exclude_characters="[]\0", exclude_categories=["Cs"]), min_size=1, max_size=8)
WORD = st.from_regex(r"[a-z]{1,6}", fullmatch=True)
LEAF = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
VALUE = st.recursive(
    LEAF, lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(WORD, inner, min_size=1, max_size=3)
)


@given(fields=st.dictionaries(WORD, VALUE, max_size=4))
def test_forms_are_read_back(fields: dict[str, Any]) -> None:
    """Reading a form gives back the text, lists and maps that were written."""
    assert read_form(encode_form(fields)) == fields


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", {}),
        (b"a=1&a=2", {"a": "2"}),
        (b"a=1&a[b]=2", {"a": {"b": "2"}}),
        (b"a[5]=x&a[]=y", {"a": {"5": "x", "6": "y"}}),
        (b"[x]=1&a[=2", {"[x]": "1", "a[": "2"}),
        (b"a[\xc2\xb2]=x&a[]=y", {"a": {"²": "x", "0": "y"}}),
    ],
)
def test_odd_forms_are_read_like_php(body: bytes, fields: dict[str, Any]) -> None:
    """Repeated, mixed and unfinished names yield what they contain, and never an error."""
    assert read_form(body) == fields


def test_deep_forms_are_refused() -> None:
    """Nesting that could exhaust the stack is refused."""
    with pytest.raises(ValueError, match="nested"):
        read_form(b"a" + b"[b]" * 1000 + b"=1")


def test_the_output_is_readable() -> None:
    """The terminal shows the trigger, the recipient, the verdict and every field; markup in values stays text."""
    fields = EVENT | {"description": "[red]x[/]", "original": f"https://shop.example/{'a' * 100}", "x": "word " * 30}
    event = ReceivedEvent(at_ns=1, path="/", fields=fields, signature="ok")
    text = io.StringIO()
    Console(file=text, width=80, highlight=False).print(rendered(event, 80))

    for part in ("click", "zoë@example.com", "signature ok", "spring, a&b", '"city": "Amsterdam"', "[red]x[/]"):
        assert part in text.getvalue()
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) == 80
    assert [line for line in lines if line.endswith(" ")] == []
    assert "wor\n" not in text.getvalue()
    assert json.loads(event.to_json())["fields"]["tags"] == ["spring", "a&b"]


def test_the_output_cannot_control_the_terminal() -> None:
    """Control characters in names and values are shown as escapes."""
    fields = {"type": "\x1b[2J", "recipient": "a\rb", "na\x9bme": ["\x07", "b"], "map": {"k": "\x1b]0;x"}}
    shown = rendered(ReceivedEvent(at_ns=1, path="/", fields=fields, signature="\x1b[m"), 80).plain

    assert all(character.isprintable() or character == "\n" for character in shown)
    assert "\\x1b[2J" in shown
