"""`domain.bots`."""

# ruff: noqa: E501 - user agents are long

from __future__ import annotations

import pytest

from domain.bots import bot_reason

PEOPLE = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246",
    "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; Microsoft Outlook 16.0.5095; ms-office; MSOffice 16)",
    "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17126; Pro)",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Thunderbird/115.12.0",
    "Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/96.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; CUBOT NOTE 20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/96.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 [FBAN/FBIOS;FBAV/470.0]",
    "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7)",
    "okhttp/4.12.0",
    "Opera/9.80 (Windows NT 6.1) Presto/2.12.388 Version/12.18",
]

MACHINES = {
    "": "empty-useragent",
    "  ": "empty-useragent",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)": "proxy:google",
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 "
        "Safari/537.36 Edge/12.246 Mozilla/5.0"
    ): "proxy:google",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html": "proxy:yahoo",
    "Mozilla/5.0": "proxy:apple",
    "Mozilla/5.0 (compatible; SeznamEmailProxy/2.0.142)": "proxy:seznam",
    "Mozilla/5.0 (compatible; YandexImageResizer/2.0; +http://yandex.com/bots)": "proxy:yandex",
    "Barracuda Sentinel (EE)": "scanner:barracuda",
    "Mozilla/5.0 (compatible; Mimecast URL Protect)": "scanner:mimecast",
    "Mozilla/5.0 (compatible; proofpoint)": "scanner:proofpoint",
    "Microsoft Office Existence Discovery": "scanner:microsoft",
    "Mozilla/5.0 (Windows NT 6.1) AppleWebKit/534+ (KHTML, like Gecko) BingPreview/1.0b": "scanner:microsoft",
    "CiscoSecureEmail": "scanner:cisco",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": "crawler",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)": "crawler",
    "Mozilla/5.0 (compatible; Linux x86_64; Mail.RU_Bot/2.0; +http://go.mail.ru/help/robots)": "crawler",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)": "crawler",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)": "crawler",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36": "crawler",
    "curl/8.5.0": "crawler",
    "Wget/1.21.4": "crawler",
    "python-requests/2.32.3": "crawler",
    "Python/3.11 aiohttp/3.9.5": "crawler",
    "Go-http-client/2.0": "crawler",
    "Java/17.0.11": "crawler",
}


@pytest.mark.parametrize("useragent", PEOPLE)
def test_a_readers_browser_is_never_a_bot(useragent: str) -> None:
    """Browsers and mail programs of people pass, including telephones with names like those of robots."""
    assert bot_reason(useragent, "") is None


@pytest.mark.parametrize(("useragent", "reason"), MACHINES.items())
def test_a_machine_is_recognised_by_its_name(useragent: str, reason: str) -> None:
    """Mail proxies, scanners, crawlers and libraries are found, each with its reason."""
    assert bot_reason(useragent, "") == reason


@pytest.mark.parametrize(
    "purpose",
    ["prefetch", "prefetch;prerender", "prefetch;anonymous-client-ip", "prerender", "preview", "sec; prefetch"],
)
def test_a_prefetch_counts_as_a_bot_even_in_a_browser(purpose: str) -> None:
    """Requests that a browser makes without its reader are not the reader's hits."""
    assert bot_reason(PEOPLE[0], purpose) == "prefetch"


def test_another_purpose_is_a_readers() -> None:
    """Any other purpose does not mean a prefetch."""
    assert bot_reason(PEOPLE[0], "navigate") is None


def test_an_overlong_user_agent_is_harmless() -> None:
    """A header of any length is classified by its start."""
    assert bot_reason("x" * 1_000_000 + "googlebot", "") is None
