"""Benchmark of preparing messages at the front end: their links are found, and their HTML is rewritten.

    python benchmarks/bench_messages.py

Prints milliseconds of CPU per message and nanoseconds per character, without the work of the actors.
"""

from __future__ import annotations

import asyncio
import platform
import time

from actors.commands.messages import RegisteredMessage
from api.messages.registration import prepare, tracked
from api.schemas.messages import NewMessage
from api.tracking.urls import TrackingUrls
from domain.key_set import KeySet
from domain.tokens import TrackingTokens

REPEATS = 50
URLS = TrackingUrls("https://track.example.com", TrackingTokens(KeySet.single(b"k" * 32)))
REGISTERED = RegisteredMessage(id="m", key=2**62, account_no=1)
ROW = """\
<tr><td align="center" valign="top" class="text" style="padding:0 18px 9px;font-family:Arial,sans-serif;color:#202020">
<table border="0" cellpadding="0" cellspacing="0" width="100%" role="presentation"><tr><td style="color:#202020">
<img alt="" src="https://img.example/{n}.png" width="564" style="max-width:1200px;padding-bottom:0;display:inline">
<p style="margin:10px 0">A paragraph about product {n} &amp; its price, as long as those of newsletters are.</p>
<!--[if mso]><v:roundrect href="https://shop.example/products/{n}" style="v-text-anchor:middle"><![endif]-->
<a class="button" href="https://shop.example/products/{n}?utm_source=newsletter&amp;utm_medium=email">Buy</a><br>
</td></tr></table></td></tr>
"""
START = f"<!doctype html><html><head><title>News</title><style>{'a{color:red}' * 200}</style></head><body>"
TABLE = f"<table>{''.join(ROW.replace('{n}', str(n)) for n in range(40))}</table>"
MAILS = {
    "newsletter, 80 links": f"{START}{TABLE}</body></html>",
    "the same with SVG": f"{START}<svg><path/></svg>{TABLE}</body></html>",
    "one link": '<html><body><p>Your code is 123456. <a href="https://example.com/">Help</a></p></body></html>',
}


async def main() -> None:
    print(f"{platform.python_version()}, {platform.machine()}\n")
    print(f"{'mail':<24}{'characters':>12}{'ms':>10}{'ns/character':>14}")
    for name, html in MAILS.items():
        message = NewMessage(recipient="john@example.com", html=html)
        began_s = time.process_time()
        for number in range(REPEATS):
            await tracked(await prepare(message, URLS, 1, None, number), REGISTERED, URLS)
        each_s = (time.process_time() - began_s) / REPEATS
        print(f"{name:<24}{len(html):>12}{each_s * 1e3:>10.3f}{each_s * 1e9 / len(html):>14.0f}")


if __name__ == "__main__":
    asyncio.run(main())
