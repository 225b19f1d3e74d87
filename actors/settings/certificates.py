"""Certificates in PEM files: what `--handler-ca-file` reads, so that processes on other machines need no file."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 4 * 1024 * 1024
_BEGIN: Final = "-----BEGIN "
_CERTIFICATE: Final = re.compile(
    r"-----BEGIN ((?:TRUSTED |X509 )?CERTIFICATE)-----\s.*?-----END \1-----", re.DOTALL | re.ASCII
)


def authorities(text: str) -> str:
    """The certificates in a PEM file, without everything else in it, such as comments or keys.

    `text` is the file's path, or what this function returned for it.

    Raises:
        ValueError: why the file cannot be used, as the end of a sentence.
    """
    content = text if text.startswith(_BEGIN) else _content(text)
    certificates = [found[0] for found in _CERTIFICATE.finditer(content)]
    if not content.strip():
        raise ValueError(f"{_NEEDED}; {text} is empty")
    if not certificates or content.count("CERTIFICATE-----") != 2 * len(certificates):
        missing = "has a certificate that is cut off" if certificates else "has no certificate in PEM"
        raise ValueError(f"{_NEEDED}; {text[:200]} {missing}")
    pem = "\n".join(certificates) + "\n"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as exc:
        raise ValueError(f"{_NEEDED}; {text[:200]} has a certificate that cannot be read") from exc
    return pem


_NEEDED: Final = "must be a PEM file of certificate authorities"


def _content(path: str) -> str:
    try:
        with Path(path).expanduser().open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise ValueError(f"{_NEEDED}; {path} cannot be read: {reason}") from exc
    if len(content) > MAX_BYTES:
        raise ValueError(f"{_NEEDED}; {path} is larger than {MAX_BYTES // 1024 // 1024} MiB")
    return content.decode("latin-1")
