"""Unsubscribe pages for recipients. They load and run nothing, and their form posts to the same URL."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

_STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{font:1.125rem/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 1.25rem}"
    "h1{font-size:1.5rem}"
    "button{font:inherit;font-weight:600;padding:.7rem 1.4rem;border:2px solid #0b57d0;border-radius:.4rem;"
    "background:#0b57d0;color:#fff;cursor:pointer}"
    "button:focus-visible{outline:3px solid currentColor;outline-offset:3px}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

#: Allows only the page's own style, and a form to its own origin.
CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

#: Field and value of RFC 8058, section 3.1; the form sends them too.
ONE_CLICK: Final = (b"List-Unsubscribe", b"One-Click")


def _page(title: str, body: str) -> bytes:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    ).encode()


ASK_PAGE: Final = _page(
    "Unsubscribe",
    "<p>Press the button to stop receiving these e-mails.</p>\n"
    '<form method="post">\n'
    f'<input type="hidden" name="{ONE_CLICK[0].decode()}" value="{ONE_CLICK[1].decode()}">\n'
    '<button type="submit">Unsubscribe</button>\n</form>',
)
DONE_PAGE: Final = _page("You have been unsubscribed", "<p>You can close this page.</p>")
