"""Tests of the search for one address in texts and mails."""

from __future__ import annotations

import base64
import quopri
import time
from email.header import Header
from email.message import EmailMessage
from html import escape
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.ledger.people import person_of
from domain.address_candidates import possible_addresses
from domain.address_search import AddressSearch

JOHN = AddressSearch("john.doe@example.com")
JUERGEN = AddressSearch("jürgen@xn--mller-kva.example")
PEOPLE = {JOHN: "john.doe@example.com", JUERGEN: "jürgen@xn--mller-kva.example"}
UTF_8 = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


def is_candidate(search: AddressSearch, *, text: str = "", mail: str = "") -> bool:
    """Whether the person's address is among the possible ones."""
    return PEOPLE[search] in map(person_of, possible_addresses([text], [mail], 20_000))


@pytest.mark.parametrize(
    "text",
    [
        "john.doe@example.com",
        "To: John <John.Doe@EXAMPLE.com>, jane@example.com",
        "mailto:john.doe@example.com?subject=hi",
        "550 5.1.1 <john.doe@example.com>: unknown.",
        "联系john.doe@example.com。",
        "john.doe@example.com.",
        "bounce+john.doe=example.com@lists.example",
        "SRS0=HHH=TT=example.com=john.doe@relay.example",
        "john.doe%example.com@relay.example",
        '"john.doe"@example.com',
        "ｊｏｈｎ.doe＠ｅｘａｍｐｌｅ.com",
        "john.\u200bdoe@exam\u00adple.com",
        "https://example.net/?to=john.doe%40example.com",
        "https://example.net/?next=https%3A%2F%2Fa.example%2F%3Fto%3Djohn.doe%2540example.com",
        "<p>john.doe&#64;example.com</p>",
        "john.doe&#x40;example&period;com",
        "john.doe&commat;example.com",
        "john.doe@<b>example</b>.com",
        "<a href='?u=&#37;6aohn.doe%40example.com'>",
        r'{"email": "john.doe\u0040example.com"}',
        "john.doe+AEA-example.com",
        "Original-Recipient: rfc822;john.doe+40example.com",
        r"Final-Recipient: utf-8;john\x{2E}doe@example.com",
        "To: =?utf-8?q?john=2Edoe=40example=2Ecom?=",
        "To: =?utf-8?B?am9obi5k?=\r\n =?utf-8?B?b2VAZXhhbXBsZS5jb20=?=",
    ],
)
def test_an_address_is_found_in_a_text(text: str) -> None:
    mail = f"Subject: hi\r\n\r\nHello.\r\n{text}\r\n"
    assert JOHN.is_in(text)
    assert JOHN.is_in_mail(mail)
    assert is_candidate(JOHN, text=text)
    assert is_candidate(JOHN, mail=mail)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "john.doe",
        "ajohn.doe@example.com",
        "a.john.doe@example.com",
        "john.doe+news@example.com",
        "john.doe@example.com.br",
        "john.doe@example.community",
        "john.doe@sub.example.com",
        "johnxdoe@example.com",
        "john.doe at example.com",
    ],
)
def test_another_address_is_not_found(text: str) -> None:
    assert not JOHN.is_in(text)
    assert not JOHN.is_in_mail(f"Subject: hi\r\n\r\nHello.\r\n{text}\r\n")


@pytest.mark.parametrize(
    "text",
    [
        "jürgen@müller.example",
        "JU\u0308RGEN@MÜLLER.example",
        "Jürgen@XN--MLLER-KVA.example",
        "jürgen@müller。example",
        "to=j%C3%BCrgen%40m%C3%BCller.example",
        r"Final-Recipient: utf-8;j\x{FC}rgen@m\x{FC}ller.example",
        "j&uuml;rgen@m&#252;ller.example",
        "=?iso-8859-1?q?J=FCrgen=40m=FCller=2Eexample?=",
        "=?windows-1252*de?b?avxyZ2VuQG38bGxlci5leGFtcGxl?=",
    ],
)
def test_an_international_address_is_found_in_a_text(text: str) -> None:
    assert JUERGEN.is_in(text)
    assert JUERGEN.is_in_mail(text)
    assert is_candidate(JUERGEN, text=text)
    assert is_candidate(JUERGEN, mail=text)


def test_the_sharp_s_is_kept() -> None:
    """UTS #46 without transition: `faß` and `fass` are different domains."""
    search = AddressSearch("a@xn--fa-hia.example")

    assert search.is_in("a@FAẞ.example")
    assert not search.is_in("a@fass.example")


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "utf-16", "cp1252", "cp850", "utf-7"])
@pytest.mark.parametrize("encoding", ["8bit", "quoted-printable", "base64"])
def test_an_address_is_found_in_each_part(charset: str, encoding: str) -> None:
    """In any transfer encoding and character set of a part, at any depth."""
    body = "Grüße an jürgen@müller.example und John.Doe@example.com!".encode(charset)
    encoded = {"8bit": body, "quoted-printable": quopri.encodestring(body), "base64": base64.encodebytes(body)}[
        encoding
    ]
    mail = (
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain\r\n\r\nHello\r\n--a\r\n"
        b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n"
        + f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
        + encoded
        + b"\r\n--b--\r\n--a--\r\n"
    )
    try:
        text = mail.decode()
    except UnicodeDecodeError:
        text = mail.decode("latin-1")

    assert JOHN.is_in_mail(text)
    assert is_candidate(JOHN, mail=text)
    if charset != "utf-7" and (charset, encoding) != ("utf-16", "8bit"):
        assert JUERGEN.is_in_mail(text)
        assert is_candidate(JUERGEN, mail=text)


def test_an_address_is_found_in_an_attached_mail() -> None:
    """A mail in base64 within a mail in base64."""
    inner, middle, outer = EmailMessage(), EmailMessage(), EmailMessage()
    inner["To"] = str(Header("John.Doe@example.com", "utf-8"))
    middle.set_content("see below")
    middle.add_attachment(inner.as_bytes(), maintype="application", subtype="octet-stream")
    outer.set_content("see below")
    outer.add_attachment(middle.as_bytes(), maintype="application", subtype="octet-stream")

    assert JOHN.is_in_mail(outer.as_string())
    assert is_candidate(JOHN, mail=outer.as_string())
    assert not JUERGEN.is_in_mail(outer.as_string())


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "path/to/"])
def test_an_address_is_found_in_encoded_tokens(before: str) -> None:
    """Links have tokens in base64 or hexadecimal, of which the address is only a part."""
    for token in (
        base64.b64encode(b"u=john.doe@example.com"),
        base64.urlsafe_b64encode(b"\xff?u=John.Doe@example.com&x"),
        b"john.doe@example.com".hex().encode(),
    ):
        mail = f"see https://example.net/{before}{token.decode()}"
        assert JOHN.is_in_mail(mail)
        assert is_candidate(JOHN, mail=mail)


@given(UTF_8, UTF_8, st.sampled_from(["none", "base64", "quoted", "percent", "html"]))
def test_an_address_is_found_between_any_texts(before: str, after: str, encoding: str) -> None:
    text = f"{before} <john.doe@example.com> {after}"
    encoded = {
        "none": text,
        "base64": "\n\n" + base64.encodebytes(text.encode()).decode(),
        "quoted": "\n\n" + quopri.encodestring(text.encode()).decode(),
        "percent": f"{quote(before, safe='')}%3Cjohn.doe%40example.com%3E{quote(after, safe='')}",
        "html": escape(text),
    }[encoding]
    assert JOHN.is_in_mail(encoded)
    assert is_candidate(JOHN, mail=encoded)


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "=",
            "=\n",
            "=?",
            "=?a?b?",
            "=?utf-8?q??= ",
            "&",
            "&#",
            "&#0",
            "&#64;",
            "%",
            "%2",
            "%25",
            "<",
            "<a",
            "\\u0040",
        ),
        *("A", "QUFB", "AAAAAAAAAAAA\n", "AAAAAAAAAAAAA.", "61", "@", "john.doe", "john.doe@", "example.com", "\0"),
        *("\xff", "charset=", "charset=utf-7 ", "\u0300\u0323", "ü", "\u200b", " ", "+AEA-", "＠", "-_"),
    ],
)
def test_no_text_takes_long(piece: str) -> None:
    """The longest mail that is kept, made to be slow, takes less than seconds."""
    text = piece * (512 * 1024 // len(piece.encode()))
    began_s = time.process_time()
    for search in (JOHN, JUERGEN):
        search.is_in_mail(text)
    assert len(possible_addresses([], [text], 1000)) <= 1000
    assert time.process_time() - began_s < 16
