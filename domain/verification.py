"""The proof that a handler's server is its owner's: what must be found, and where. Source: the contract, section 3."""

from __future__ import annotations

import codecs
from hashlib import sha256
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from domain.values import HandlerUrl

#: No more than this is read of a file.
MAX_CONTENT_BYTES: Final = 4096
NOT_THE_PROOF: Final = "not the proof"


def file_name(token: str) -> str:
    """The verification file's name, unique to the loop."""
    return f"feedback-loops-{token}.txt"


def file_content(token: str) -> str:
    """The verification file's content, unique to the loop.

    It cannot be guessed from the name, so a server that answers with what it was asked for proves nothing.
    """
    return f"feedback-loops-verification={sha256(f'feedback-loops/{token}'.encode()).hexdigest()}"


def file_locations(url: str, token: str) -> list[str]:
    """The URLs where the file may lie, in the order they are tried: beside the script, then at the server's root."""
    parts = urlsplit(url)
    server = f"{parts.scheme}://{parts.netloc}"
    beside = f"{server}{parts.path.rpartition('/')[0]}/{file_name(token)}"
    return list(dict.fromkeys([beside, f"{server}/{file_name(token)}"]))


def dns_name(url: str) -> str | None:
    """The name whose TXT record proves the same as the file; None where the host is an address, which has no names."""
    host = HandlerUrl(url).host.rstrip(".")
    return None if _is_address(host) else f"_feedback-loops.{host}"


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def dns_value(token: str) -> str:
    """The value of that record, the same as the file's content."""
    return file_content(token)


def proves(content: bytes, token: str) -> bool:
    """Whether `content`, of a file or a record, is the proof: all of it, outer white space aside, in at most 4 KiB."""
    return len(content) <= MAX_CONTENT_BYTES and content.strip() == file_content(token).encode()


def shortfall(content: bytes, token: str) -> str:
    """What keeps `content` from being the proof, in words that go on after "which is"."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text, how = content.decode("utf-16", "replace"), "in UTF-16"
    else:
        text, how = content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace"), "behind a byte order mark"
    if proves(text.encode(), token):
        return f"the proof, but saved {how}: place the file as it was downloaded"
    if file_content(token) in text:
        return "the proof among other text: it must be all that is there"
    return NOT_THE_PROOF
