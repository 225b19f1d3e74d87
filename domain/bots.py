"""Detection of hits by machines, from what the client says about itself.

Only certain signs count: software that names itself, and strings that no browser sends. A scanner that imitates a
browser is not recognised, and a reader's browser is never called a bot.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

#: `Sec-Purpose` and `Purpose: prefetch`, `;prerender` (WICG nav-speculation), `X-Moz: prefetch` (Firefox), `X-Purpose:
#: preview` (Safari).
_PREFETCH = re.compile(r"prefetch|prerender|preview")

#: Mail providers that fetch pictures for their readers. The time of the fetch says little about the time of reading.
_PROXIES: Final = (
    # Gmail, on opening: "… Firefox/11.0 (via ggpht.com GoogleImageProxy)".
    ("google", r"googleimageproxy|via ggpht\.com"),
    # Gmail, on arrival, from Google's own network: the one Edge/12.246 with this tail.
    ("google", r"edge/12\.246 mozilla/5\.0$"),
    # "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
    ("yahoo", r"yahoomailproxy|ymailatgateway"),
    # Mail Privacy Protection sends exactly this; no browser does.
    ("apple", r"^mozilla/5\.0$"),
    # "Mozilla/5.0 (compatible; SeznamEmailProxy/…)"
    ("seznam", r"seznamemailproxy"),
    # "Mozilla/5.0 (compatible; YandexImageResizer/2.0; +http://yandex.com/bots)"
    ("yandex", r"yandeximageresizer"),
)

#: Products that open links before the reader can, and identify themselves.
_SCANNERS: Final = (
    ("barracuda", r"barracuda"),
    ("mimecast", r"mimecast"),
    ("proofpoint", r"proofpoint|urldefense"),
    ("microsoft", r"safelinks|microsoft office existence discovery|bingpreview"),
    ("cisco", r"ironport|ciscosecureemail"),
    ("symantec", r"symantec|messagelabs"),
    ("trendmicro", r"trend ?micro|\btmes\b"),
    ("fortinet", r"fortiguard|fortinet|fortimail"),
    ("sophos", r"sophos"),
    ("forcepoint", r"forcepoint|websense"),
    ("hornetsecurity", r"hornetsecurity"),
    ("cloudmark", r"cloudmark"),
    ("urlscan", r"urlscan|virustotal"),
)

#: Robots and HTTP libraries; `CUBOT` is a telephone. A longer list: github.com/monperrus/crawler-user-agents.
_CRAWLERS: Final = (
    r"(?<!cu)bot(?![a-z0-9])",
    r"crawl|spider|slurp|scrapy|archiver",
    r"facebookexternal|whatsapp/|skypeuripreview|google-read-aloud|googledocs|google web preview|mediapartners",
    r"url preview|link ?preview|linkexpanding|embedly|feedfetcher|feedburner",
    r"headless|phantomjs|puppeteer|playwright|selenium",
    r"^(?:curl|wget|java|axios|node-fetch|undici|guzzlehttp|postmanruntime|insomnia|ruby|php|perl)\b",
    r"python-|python/|aiohttp|httpx|urllib|libwww|lwp::|go-http-client|apache-httpclient|lua-resty|^ahc/|jakarta",
    r"amazon cloudfront|uptime|pingdom|statuscake|hubspot connect",
)

#: Reasons in the order of the tests: the name of a proxy or scanner says more than `crawler`.
_RULES: Final = tuple(
    (reason, re.compile(pattern))
    for reason, pattern in (
        *((f"proxy:{name}", pattern) for name, pattern in _PROXIES),
        *((f"scanner:{name}", pattern) for name, pattern in _SCANNERS),
        ("crawler", "|".join(_CRAWLERS)),
    )
)


@lru_cache(maxsize=4096)
def bot_reason(useragent: str, purpose: str) -> str | None:
    """Why a hit is by a machine, or None: `proxy:google`, `scanner:mimecast`, `crawler`, `prefetch`, `empty-useragent`.

    `purpose` is the lower-case text of the request's purpose headers.
    """
    agent = useragent[:1024].strip().lower()
    if not agent:
        return "empty-useragent"
    for reason, pattern in _RULES:
        if pattern.search(agent):
            return reason
    return "prefetch" if _PREFETCH.search(purpose) else None
