"""Detection of hits by machines, from what the client says about itself.

Only certain signs count: software that names itself or its role, and strings that no browser sends. A scanner that
imitates a browser is not recognised, and a reader's browser is never called a bot.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

#: `Sec-Purpose` and `Purpose: prefetch`, `;prerender` (WICG nav-speculation), `X-Moz: prefetch` (Firefox), `X-Purpose:
#: preview` (Safari).
_PREFETCH = re.compile(r"\b(?:prefetch|prerender|preview)\b")

#: The comment of an Android agent, in which the device gives its name: "(Linux; Android 7.0; M bot 54 Build/NRD90M)",
#: "Android (28/9; 480dpi; 1080x2115; CUBOT; X20 PRO)".
_ANDROID = re.compile(
    r"(?:\b(?:android|adr)\b *\(|\((?=[^()]*\b(?:android|adr)\b))((?:[^()]++|\([^()]*+\))*+)",
)
#: The device in the agents of Facebook's apps: "FBDV/M bot 54;".
_FACEBOOK_DEVICE = re.compile(r"\bfb(?:dv|md|mf|bd)/[^;\]]*")

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
    # "… Chrome/55.0.2883.87 Safari/537.36 (via secureurl.fwdcdn.com - mail.ukr.net proxy)"
    ("ukrnet", r"fwdcdn\.com|ukr\.?net\b.*proxy"),
    ("fastmail", r"fastmailua"),
    # "RamblerMail/6.0 (incompatible; ImageProxy/6.0)"
    ("rambler", r"ramblermail"),
)

#: Products that open links before the reader can, and identify themselves.
_SCANNERS: Final = (
    ("barracuda", r"barracuda"),
    ("mimecast", r"mimecast"),
    ("proofpoint", r"proofpoint|urldefense"),
    ("microsoft", r"safelinks|microsoft office existence discovery|bingpreview|microsoftpreview"),
    ("cisco", r"ironport|ciscosecureemail|cisco-?talos"),
    ("symantec", r"symantec|messagelabs"),
    ("trendmicro", r"trend ?micro|\btmes\b"),
    ("fortinet", r"fortiguard|fortinet|fortimail"),
    ("sophos", r"sophos"),
    ("forcepoint", r"forcepoint|websense"),
    ("hornetsecurity", r"hornetsecurity"),
    ("cloudmark", r"cloudmark"),
    ("kaspersky", r"kaspersky"),
    ("yandex", r"yandexantivirus"),
    ("bitdefender", r"bitdefender"),
    ("trellix", r"trellix|fireeye"),
    ("drweb", r"\bdr\.?web\b"),
    ("withsecure", r"withsecure|f-secure"),
    ("zscaler", r"zscaler"),
    ("avanan", r"avanan"),
    ("paloalto", r"palo ?alto|xpanse"),
    ("vade", r"vade ?secure|vaderetro"),
    ("netcraft", r"netcraft"),
    ("urlscan", r"urlscan|virustotal|phishtank"),
)

#: What robots call themselves, also as the end of a name: `SemrushBot/7`, `Slackbot-LinkExpanding`, `link checker`.
_ROLES: Final = (
    # Not `CUBOT`, `M bot 54` and `B_bot_tab`, which are telephones and tablets.
    r"(?<!cu)bots?(?:\d*/|\d+\.|(?![a-z0-9]))(?![ _](?:\d{2,4}(?![\d.])|tab|plus))",
    r"crawl|spider|slurp|scrap(?:e|ing|y)|harvest",
    r"(?:scann|fetch|check|verifi|unfurl|analy[sz]|index|pars|resolv|retriev|archiv|prob)ers?(?![a-z])",
    r"(?:validat|inspect|extract|monit)or(?![a-z])",
    r"[a-z][_ -]?preview(?:er)?s?(?![a-z])|(?:scann|monitor|index)ing(?![a-z])|[a-z]scan(?![a-z])|[-_ ]?fetch(?![a-z])",
    r"link-?check|check_http|health-?check|uptime|synthetic|lighthouse|validation|screenshot|favicon",
    r"image ?proxy|imgproxy|mailproxy",
)

#: Robots with other names, and HTTP libraries. A longer list: github.com/monperrus/crawler-user-agents.
_CRAWLERS: Final = (
    # An address to ask about the robot. Embedded Web Browser, a part of people's programs, has one, too.
    r"\+https?:|https?:/(?!/(?:www\.)?bsalsa\.com)|[+(;/ ]www\.(?!bsalsa\.com)|\w@(?:[\w-]+\.)+[a-z]{2,}\b",
    # "Mozilla/5.0 (compatible; X": apart from robots, only these few browsers name themselves like that.
    r"^mozilla/5\.0.*\bcompatible; *(?!msie|u\b|konqueror|ibrowse|linux|windows|x11|mac|iphone|android|ant)[a-z0-9]",
    r"^mozilla/5\.0 \(compatible;? *\)$",
    r"facebookexternal|meta-external|whatsapp/|\bgoogle-(?!api|http)[a-z]|googledocs|mediapartners|googleother",
    r"linkexpanding|embedly|feedburner",
    r"headless|phantomjs|puppeteer|playwright|selenium",
    r"^(?:curl|wget|java|axios|node-fetch|undici|guzzlehttp|postmanruntime|insomnia|ruby|php|perl|got|deno|bun|node)\b",
    r"python-|python/|aiohttp|httpx|urllib|libwww-?perl|\blwp[:-]|go-http-client|http-?client|lua-resty|^ahc/|jakarta",
    r"reqwest|http\.rb|httpie|libcurl|pycurl|winhttprequest|httpunit|mechanize|faraday|anyevent",
    r"amazon cloudfront|appengine-google|pingdom|statuscake|hubspot connect",
    r"zgrab|masscan|nikto|sqlmap|nmap|censys|shodan",
)

#: Reasons in the order of the tests: the name of a proxy or scanner says more than `crawler`.
_RULES: Final = tuple(
    (reason, re.compile(pattern))
    for reason, pattern in (
        *((f"proxy:{name}", pattern) for name, pattern in _PROXIES),
        *((f"scanner:{name}", pattern) for name, pattern in _SCANNERS),
        # The agent of an iPhone's program ("QR Scanner/12 CFNetwork/1390 Darwin/22.0.0") has its name, whatever it is.
        ("crawler", rf"^(?!.*\bcfnetwork/).*?(?:{'|'.join(_ROLES)})"),
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
    agent = _FACEBOOK_DEVICE.sub("", _ANDROID.sub(_without_device, agent))
    for reason, pattern in _RULES:
        if pattern.search(agent):
            return reason
    return "prefetch" if _PREFETCH.search(purpose) else None


def _without_device(comment: re.Match[str]) -> str:
    """The comment without plain names, because a telephone may be a `VR BOT 552`."""
    if "compatible" in comment[1]:
        return comment[0]
    parts = (part.partition(" build/")[0] for part in comment[1].split(";"))
    return "(" + ";".join(part for part in parts if "/" in part or "@" in part)
