"""`domain.verification`: places and contents of the proof."""

from __future__ import annotations

import pytest

from domain.verification import dns_name, dns_value, file_content, file_locations, file_name, proves, shortfall

NAME = "0123456789abcdef" * 2
TOKEN = NAME + "1f" * 32
OTHER = NAME + "2e" * 32


@pytest.mark.parametrize(
    ("url", "folders"),
    [
        ("https://example.com/dir/script.php", ["https://example.com/dir/", "https://example.com/"]),
        ("https://example.com/a/b/c", ["https://example.com/a/b/", "https://example.com/"]),
        ("https://example.com/dir/", ["https://example.com/dir/", "https://example.com/"]),
        ("https://example.com/script.php", ["https://example.com/"]),
        ("https://example.com/", ["https://example.com/"]),
        ("https://example.com", ["https://example.com/"]),
        ("http://example.com:8080/x/y?next=/z/#f", ["http://example.com:8080/x/", "http://example.com:8080/"]),
        ("http://[::1]:81/x/y", ["http://[::1]:81/x/", "http://[::1]:81/"]),
    ],
)
def test_the_file_can_be_next_to_the_script_or_at_the_root(url: str, folders: list[str]) -> None:
    """Next to the script first, then at the root of the same server and port, without query or duplicates."""
    assert file_locations(url, TOKEN) == [f"{folder}feedback-loops-{NAME}.txt" for folder in folders]


def test_the_content_cannot_be_computed_from_the_name() -> None:
    """A name has as many contents as there are random bytes, and does not contain them."""
    assert file_name(TOKEN) == f"feedback-loops-{NAME}.txt"
    assert file_name(OTHER) == file_name(TOKEN)
    assert file_content(OTHER) != file_content(TOKEN)
    assert NAME not in file_content(TOKEN)
    assert len(bytes.fromhex(file_content(TOKEN).partition("=")[2])) == 32
    assert file_content(TOKEN).isprintable()


@pytest.mark.parametrize("space", [b"", b"\n", b"\r\n", b" \t\n\n"])
def test_white_space_around_the_content_does_not_matter(space: bytes) -> None:
    """White space before or after the proof is ignored."""
    content = file_content(TOKEN).encode()
    assert proves(content + space, TOKEN)
    assert proves(space + content, TOKEN)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        file_content(TOKEN).encode()[:-1],
        file_content(TOKEN).encode() + b".",
        b"<html>" + file_content(TOKEN).encode() + b"</html>",
        file_content(TOKEN).encode() * 2,
        file_content(OTHER).encode(),
        file_name(TOKEN).encode(),
        file_content(TOKEN).encode().upper(),
        b"\xff\xfe",
    ],
)
def test_anything_else_proves_nothing(content: bytes) -> None:
    """Part of the proof, more than the proof, another loop's proof, and an echo of the request are refused."""
    assert not proves(content, TOKEN)


@pytest.mark.parametrize(
    ("content", "explanation"),
    [
        (file_content(TOKEN).encode("utf-8-sig"), "byte order mark"),
        (file_content(TOKEN).encode("utf-16"), "UTF-16"),
        (b"\xfe\xff" + file_content(TOKEN).encode("utf-16-be"), "UTF-16"),
        (b"<html>" + file_content(TOKEN).encode() + b"</html>", "among other text"),
        (file_content(OTHER).encode("utf-8-sig"), "not the proof"),
        (b"\xff\xfe\x00", "not the proof"),
        (b"", "not the proof"),
    ],
)
def test_damage_by_an_editor_is_explained(content: bytes, explanation: str) -> None:
    """The proof is refused, and the owner learns why."""
    assert not proves(content, TOKEN)
    assert explanation in shortfall(content, TOKEN)


@pytest.mark.parametrize("token", ["", NAME, TOKEN[:-2]])
def test_an_incomplete_token_is_proved_by_nothing(token: str) -> None:
    """A token without its random content must not be proved by a constant text."""
    assert not proves(file_content(token).encode(), token)


def test_a_file_of_more_than_4_kib_proves_nothing() -> None:
    """White space counts towards the size limit."""
    content = file_content(TOKEN).encode()
    assert proves(content.ljust(4096), TOKEN)
    assert not proves(content.ljust(4097), TOKEN)


def test_the_dns_record_is_an_equal_proof() -> None:
    """The record's name contains only the host, and its value equals the file's content."""
    assert dns_name("https://Example.com:8443/dir/script.php?x=1") == "_feedback-loops.example.com"
    assert dns_name("https://example.com./x") == "_feedback-loops.example.com"
    assert proves(dns_value(TOKEN).encode(), TOKEN)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/x", "http://[::1]/x", "http://10.0.0.1./x"])
def test_an_address_has_no_dns_record(url: str) -> None:
    """A host that is an IP address cannot have a TXT record."""
    assert dns_name(url) is None
