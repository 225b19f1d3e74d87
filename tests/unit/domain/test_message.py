"""`domain.message`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from domain.errors import InvalidInput
from domain.message import Message

ACCOUNT = UUID(int=1)


def a_message(**changes: Any) -> Message:
    ordinary: dict[str, Any] = {
        "account_id": ACCOUNT,
        "account_no": 1,
        "message_id": "m-1",
        "key": 7,
        "recipient": "john@example.com",
        "tags": ["a"],
        "mailing": None,
        "database": None,
        "profile": None,
        "links": ["https://example.com/"],
        "at_ms": 5,
    }
    return Message.register(**(ordinary | changes))


def test_a_message_keeps_its_attributes() -> None:
    """Registration stores every attribute unchanged."""
    message = a_message(mailing="may", database="1", profile="123")
    assert (message.message_id, message.key, message.recipient) == ("m-1", 7, "john@example.com")
    assert (message.tags, message.links, message.mailing) == (["a"], ["https://example.com/"], "may")
    assert (message.database, message.profile, message.created_at_ms) == ("1", "123", 5)


def test_an_id_is_unique_in_its_account() -> None:
    """The same id is the same aggregate in one account, so it cannot be stored twice, and another one elsewhere."""
    assert a_message().id == a_message(recipient="jane@example.com").id == Message.create_id(ACCOUNT, "m-1")
    assert len({a_message().id, a_message(message_id="m-2").id, a_message(account_id=UUID(int=2)).id}) == 3


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"message_id": ""}, "/id"),
        ({"message_id": "x" * 201}, "/id"),
        ({"message_id": "a\nb"}, "/id"),
        ({"message_id": "."}, "/id"),
        ({"message_id": ".."}, "/id"),
        ({"message_id": "\ud800"}, "/id"),
        ({"message_id": "john@example.com"}, "/id"),
        ({"tags": ["a", "to:John@Example.com!"]}, "/tags/1"),
        ({"mailing": "may-john%40example.com"}, "/mailing"),
        ({"recipient": "j+n@example.com", "database": "1", "profile": "j%2Bn%40example.com"}, "/profile/id"),
        (
            {"recipient": "jürgen@example.com", "database": "x ju\u0308RGEN@example.com", "profile": "1"},
            "/profile/database",
        ),
        ({"key": 0}, "/key"),
        ({"key": 2**63}, "/key"),
        ({"recipient": "john"}, "/recipient"),
        ({"recipient": ""}, "/recipient"),
        ({"recipient": "j\ud800@example.com"}, "/recipient"),
        ({"tags": [""]}, "/tags/0"),
        ({"tags": ["a", "x" * 101]}, "/tags/1"),
        ({"tags": ["a"] * 51}, "/tags"),
        ({"mailing": ""}, "/mailing"),
        ({"database": "1"}, "/profile"),
        ({"profile": "1"}, "/profile"),
        ({"database": "", "profile": "1"}, "/profile/database"),
        ({"database": "1", "profile": "\n"}, "/profile/id"),
        ({"links": ["https://a.example/", "mailto:x@example.com"]}, "/links/1"),
        ({"links": ["javascript:alert(1)"]}, "/links/0"),
        ({"links": ["https://example.com/\r\nSet-Cookie: a=b"]}, "/links/0"),
        ({"links": ["http://"]}, "/links/0"),
        ({"links": ["HTTPS:///x"]}, "/links/0"),
        ({"links": ["http://?x"]}, "/links/0"),
        ({"links": ["http://#x"]}, "/links/0"),
        ({"links": ["http://:80/"]}, "/links/0"),
        ({"links": ["http://a@"]}, "/links/0"),
        ({"links": ["http://a:b@:80/@x"]}, "/links/0"),
        ({"links": ["http:// /"]}, "/links/0"),
        ({"links": ["https://example.com/" + "x" * 8192]}, "/links/0"),
        ({"links": ["https://example.com/" + "é" * 5000]}, "/links/0"),
        ({"links": ["https://example.com/" + "é" * 1363]}, "/links/0"),
        ({"links": ["https://example.com/" + "✓" * 909]}, "/links/0"),
        ({"links": ["https://example.com/" + " " * 2725]}, "/links/0"),
        ({"links": ["https://example.com/"] * 1001}, "/links"),
    ],
)
def test_a_wrong_attribute_is_named(changes: dict[str, Any], pointer: str) -> None:
    """A wrong attribute is refused at the pointer of the API's field."""
    with pytest.raises(InvalidInput) as caught:
        a_message(**changes)
    assert [p for p, _ in caught.value.problems] == [pointer]


@pytest.mark.parametrize(
    ("recipient", "tag"),
    [
        ("john@exämple.com", "to john@xn--exmple-cua.com"),
        ("john@xn--exmple-cua.com", "JOHN@EXÄMPLE.COM"),
        ("john@xn--exmple-cua.com", "john@exa\u0308mple.com"),
        ("john@exämple.com", "john%40XN--EXMPLE-CUA.com"),
        ("john@example.com.", "john@example.com"),
        ("john@example.com", "john@ｅｘａｍｐｌｅ.com"),
    ],
)
def test_a_tag_has_no_spelling_of_the_recipient(recipient: str, tag: str) -> None:
    """All spellings of an address are one person, so none of them may stay in a name when that person is erased."""
    with pytest.raises(InvalidInput) as caught:
        a_message(recipient=recipient, tags=["a", tag])
    assert [p for p, _ in caught.value.problems] == ["/tags/1"]
    a_message(recipient=recipient, tags=["jane@xn--exmple-cua.com", "xn--@xn--99999999"])


def test_all_wrong_attributes_are_named_together() -> None:
    """One error lists every wrong attribute."""
    with pytest.raises(InvalidInput) as caught:
        a_message(message_id="", recipient="", tags=[""], links=["x"])
    assert [p for p, _ in caught.value.problems] == ["/id", "/recipient", "/tags/0", "/links/0"]


def test_ordinary_links_pass() -> None:
    """Capitals, spaces and other scripts in links are left to the browser."""
    links = ["HTTPS://EXAMPLE.COM/", "http://example.com/a b", "https://example.com/é?x=[1]"]
    links += ["https://example.com/" + text for text in ("x" * 8172, "é" * 1362, "✓" * 908, " " * 2724)]
    assert a_message(links=links).links == links
