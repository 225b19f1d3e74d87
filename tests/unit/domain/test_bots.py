"""`domain.bots`."""

# ruff: noqa: E501 - user agents are long

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    "Lynx/2.8.9rel.1 libwww-FM/2.14 SSL-MM/1.4.1 GNUTLS/3.6.13",
    "w3m/0.5.3+git20210102",
    "ELinks/0.13.2 (textmode; Linux 5.10 x86_64; 80x24-2)",
    "Mozilla/5.0 (compatible; Konqueror/4.14; Linux) KHTML/4.14.2 (like Gecko)",
    "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)",
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1; Embedded Web Browser from: http://bsalsa.com/; .NET CLR 1.1.4322)",
    "Mozilla/4.0 (compatible; ms-office; MSOffice 16)",
    "QR Scanner/12 CFNetwork/1390 Darwin/22.0.0",
]

#: Devices whose names sound like those of robots.
DEVICES = [
    "M bot 54", "M bot 60", "M BOT 551", "VR BOT 552", "VR BOT 552 PLUS", "B BOT 550", "ID bot 53+", "POWER BOT", "M_bot_tab_1150",
    "C Bot Tab 100", "XBot_Senior", "XBot Junior", "Spider 8", "CUBOT", "CUBOT_X19", "CUBOT NOTE 20", "KINGKONG (2018) bot",
    "Scanner 5", "Link Checker", "Crawler X",
]  # fmt: skip
DEVICE_AGENTS = [
    "Mozilla/5.0 (Linux; Android 7.0; {}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/78.0.3904.96 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 6.0; {} Build/MRA58K; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/53.0 Safari/537.36",
    "Mozilla/5.0 (Linux; U; Android 4.4.2; en-us; {} Build/KOT49H) AppleWebKit/534.30 (KHTML, like Gecko) Version/4.0 Mobile Safari/534.30",
    "Dalvik/2.1.0 (Linux; U; Android 7.0; {} Build/NRD90M)",
    "UCWEB/2.0 (MIDP-2.0; U; Adr 7.0; en-US; {}) U2/1.0.0 UCBrowser/11.2 U2/1.0.0 Mobile",
    "Mozilla/5.0 (Linux; Android 9; X) AppleWebKit/537.36 Chrome/101.0 Safari/537.36 Instagram 237.0 Android (28/9; 480dpi; 1080x2115; HCT; {}; mt6771; it_IT)",
    "Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 [FBAN/FB4A;FBAV/470.0;FBDV/{};FBSV/7.0]",
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
    (
        "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/55.0.2883.87 Safari/537.36 "
        "(via secureurl.fwdcdn.com - mail.ukr.net proxy)"
    ): "proxy:ukrnet",
    "RamblerMail/6.0 (incompatible; ImageProxy/6.0)": "proxy:rambler",
    "FastmailUA/1.0": "proxy:fastmail",
    "Mozilla/5.0 (compatible; YandexAntivirus/2.0; +http://yandex.com/bots)": "scanner:yandex",
    "Kaspersky Lab CFR link resolver cfradmins@kaspersky.com": "scanner:kaspersky",
    "MicrosoftPreview/2.0; +https://aka.ms/MicrosoftPreview": "scanner:microsoft",
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
    "libwww-perl/6.67": "crawler",
    "Mozilla/5.0 (compatible)": "crawler",
    "Luminator-robots/2.0": "crawler",
    "Mozilla/5.0 (Linux; Android 7.0; M bot 54) AppleWebKit/537.36 Chrome/78.0 Safari/537.36 (compatible; SomeBot/1.0)": "crawler",
    "Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36 (compatible; Bytespider; a@b.com)": "crawler",
}

NAMES = st.from_regex(r"[A-Z][A-Za-z]{2,9}", fullmatch=True)
#: Robots of all kinds: by an address, by "compatible", by their role.
MACHINE_KINDS = [
    "Mozilla/5.0 (compatible; {}/1.0; +http://example.com/about)",
    "Mozilla/4.0 (compatible; {}/1.0; +https://example.com)",
    "Mozilla/5.0 (compatible; {})",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; X{}/1.1) Chrome/126.0 Safari/537.36",
    "{}/2.1 (+https://example.com/)",
    "{} (someone@example.com)",
    "{} 1.0 www.example.com",
    *(
        pattern
        for role in (
            "Bot",
            "bot",
            "Crawler",
            "Spider",
            "Scanner",
            "Fetcher",
            "Checker",
            "Preview",
            "Monitor",
            "Validator",
            "Scraper",
        )
        for pattern in (
            f"{{}}{role}",
            f"{{}}{role}/1.0",
            f"Mozilla/5.0 (X11; Linux x86_64) {{}}-{role}/2",
            f"{{}} {role}/1.0",
        )
    ),
]


@pytest.mark.parametrize("useragent", PEOPLE)
def test_a_readers_browser_is_never_a_bot(useragent: str) -> None:
    """Browsers and mail programs of people pass, including telephones with names like those of robots."""
    assert bot_reason(useragent, "") is None


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("agent", DEVICE_AGENTS)
def test_the_name_of_a_device_means_nothing(agent: str, device: str) -> None:
    """A telephone may be called like a robot."""
    assert bot_reason(agent.format(device), "") is None


@given(
    agent=st.sampled_from(DEVICE_AGENTS[:5]), device=st.from_regex(r"[A-Za-z][A-Za-z0-9 _+.-]{0,20}", fullmatch=True)
)
def test_a_device_may_have_any_name(agent: str, device: str) -> None:
    """No name of an Android device makes its owner a robot."""
    assert bot_reason(agent.format(device), "") is None


def test_browsers_seen_in_real_life_are_people() -> None:
    """Of hundreds of agents that a statistics service saw, none is called a robot."""
    lines = files("fake_useragent").joinpath("data/browsers.jsonl").read_text().splitlines()
    agents = {json.loads(line)["useragent"] for line in lines}
    assert len(agents) > 500
    assert {agent: reason for agent in agents if (reason := bot_reason(agent, ""))} == {}


def test_most_robots_seen_in_real_life_are_recognised() -> None:
    """Of a published list of robots, all but those that imitate browsers or have names without a meaning."""
    robots = json.loads(files("crawleruseragents").joinpath("crawler-user-agents.json").read_text())
    agents = {agent for robot in robots for agent in robot["instances"]}
    assert len(agents) > 2000
    assert sum(bot_reason(agent, "") is not None for agent in agents) > 0.85 * len(agents)


@given(kind=st.sampled_from(MACHINE_KINDS), name=NAMES)
def test_a_machine_is_recognised_by_its_kind(kind: str, name: str) -> None:
    """A robot that nobody has seen yet is recognised if it says what it is."""
    assert bot_reason(kind.format(name), "") is not None


@given(text=st.text(max_size=1500), purpose=st.text(max_size=50))
def test_any_text_has_an_answer(text: str, purpose: str) -> None:
    """No text makes the search fail."""
    assert bot_reason(text, purpose) is None or bot_reason(text, purpose)


@pytest.mark.parametrize(("useragent", "reason"), MACHINES.items())
def test_a_machine_is_recognised_by_its_name(useragent: str, reason: str) -> None:
    """Mail proxies, scanners, crawlers and libraries are found, each with its reason."""
    assert bot_reason(useragent, "") == reason


@pytest.mark.parametrize(
    "purpose",
    [
        "prefetch",
        "prefetch;prerender",
        "prefetch;anonymous-client-ip",
        "prerender",
        "preview",
        "sec; prefetch",
        "navigate, prefetch",
        ", preview",
    ],
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
