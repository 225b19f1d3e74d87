"""Proof that a loop's owner controls the handler's server: its content and places. Source: the contract, section 3.

A loop's verification token is `TOKEN_BYTES` random bytes as hexadecimal text. The first 16 bytes are in the file's name
and the other 32 are its content. Nobody can compute the content from the name, which the server sees in a request.
"""

from __future__ import annotations

import codecs
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from domain.values import HandlerUrl

#: At most this many bytes of a file are read.
MAX_CONTENT_BYTES: Final = 4096
#: Random bytes of a token.
TOKEN_BYTES: Final = 48
#: Hexadecimal digits of the part in the file's name.
_NAME_DIGITS: Final = 32
NOT_THE_PROOF: Final = "not the proof"


def file_name(token: str) -> str:
    """The verification file's name, unique to the loop."""
    return f"feedback-loops-{token[:_NAME_DIGITS]}.txt"


def file_content(token: str) -> str:
    """The verification file's content, unique to the loop.

    It does not appear in the name, so a server that echoes its requests proves nothing.
    """
    return f"feedback-loops-verification={token[_NAME_DIGITS:]}"


def file_locations(url: str, token: str) -> list[str]:
    """URLs of the file, in the order they are tried: next to the script, then at the server's root."""
    parts = urlsplit(url)
    server = f"{parts.scheme}://{parts.netloc}"
    beside = f"{server}{parts.path.rpartition('/')[0]}/{file_name(token)}"
    return list(dict.fromkeys([beside, f"{server}/{file_name(token)}"]))


def dns_name(url: str) -> str | None:
    """Name of the TXT record that proves the same as the file; None if the host is an IP address."""
    host = HandlerUrl(url).host.rstrip(".")
    return None if _is_address(host) else f"_feedback-loops.{host}"


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def dns_value(token: str) -> str:
    """Value of that record: the file's content."""
    return file_content(token)


def proves(content: bytes, token: str) -> bool:
    """Whether the content of a file or a record is the proof and nothing else, ignoring white space around it.

    Nothing proves an incomplete token.
    """
    is_complete = len(token) == 2 * TOKEN_BYTES
    return is_complete and len(content) <= MAX_CONTENT_BYTES and content.strip() == file_content(token).encode()


def shortfall(content: bytes, token: str) -> str:
    """Why `content` is not the proof, as the end of a sentence that starts with "which is"."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text, encoding = content.decode("utf-16", "replace"), "in UTF-16"
    else:
        text, encoding = content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace"), "with a byte order mark"
    if proves(text.encode(), token):
        return f"the proof, but saved {encoding}: upload the file exactly as you downloaded it"
    if file_content(token) in text:
        return "the proof among other text: it must be the only content"
    return NOT_THE_PROOF
