"""Benchmark of reports: how many per second reach the handler, compared with clicks, and returned mails per second.

    python -m benchmarks.reports [--reports 30000] [--mails 5000] [--rounds 3] [--out benchmarks/results]

Clicks, reports in arrays of 500 and returned mails of 5 kB (delivery status notifications that name a message) are sent
in turns to one service, as fast as they are answered. A rate is their number divided by the time from the first request
to the last POST. Each report is one POST; each mail is two, a `failure` and a `bounce`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import row
from benchmarks.load import post
from benchmarks.main_job import rate_of, run_load
from tests.service import Account, Service, Sink, eventually

#: Reports of one request.
PER_CALL: Final = 500
#: Events of one mail.
EVENTS_OF_MAIL: Final = 2
MAIL_BYTES: Final = 5000
TRIGGERS: Final = ["delivery", "failure", "bounce", "abuse"]

_DSN: Final = """\
From: MAILER-DAEMON@mx.example.com (Mail Delivery System)\r
To: bounces@sender.example\r
Subject: Undelivered Mail Returned to Sender\r
Auto-Submitted: auto-replied\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status; boundary="=_b"\r
Message-Id: <dsn-{n}@mx.example.com>\r
\r
--=_b\r
Content-Type: text/plain; charset=us-ascii\r
\r
I'm sorry to have to inform you that your message could not be delivered.\r
\r
<person{n}@example.com>: host mx.example.com said: 550 5.1.1 unknown user\r
\r
--=_b\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.example.com\r
\r
Final-Recipient: rfc822; person{n}@example.com\r
Action: failed\r
Status: 5.1.1\r
Diagnostic-Code: smtp; 550 5.1.1 unknown user n={n}\r
\r
--=_b\r
Content-Type: message/rfc822\r
\r
From: news@sender.example\r
To: person{n}@example.com\r
Subject: News\r
Message-ID: {reference}\r
Content-Type: text/plain\r
\r
"""


def reference(number: int) -> str:
    """The Message-ID of a message."""
    return f"<message-{number}@sender.example>"


def register(account: Account, first: int, count: int) -> None:
    """Registers numbered messages, to which reports and mails refer."""
    for start in range(first, first + count, 5000):
        numbers = range(start, min(start + 5000, first + count))
        account.messages(
            {"recipient": f"person{n}@example.com", "id": f"m{n}", "reference": reference(n), "tags": ["news"]}
            for n in numbers
        )


def report(number: int) -> dict[str, Any]:
    """A report about a message."""
    return {
        "type": "delivery",
        "message": f"m{number}",
        "event": f"report-{number}",
        "code": "250",
        "extended": "2.0.0",
        "description": f"accepted as n={number}",
    }


def report_requests(account: Account, numbers: Sequence[int], per_call: int) -> list[bytes]:
    """Calls with so many reports each."""
    return [
        post(
            "/v1/events",
            account.key,
            "application/json",
            json.dumps([report(n) for n in numbers[start : start + per_call]]).encode(),
        )
        for start in range(0, len(numbers), per_call)
    ]


def mail_requests(account: Account, numbers: Sequence[int]) -> list[bytes]:
    """Calls with a returned mail each."""
    return [post("/v1/mime", account.key, "message/rfc822", mail(n)) for n in numbers]


def mail(number: int, size: int = MAIL_BYTES) -> bytes:
    """A returned mail of so many bytes that names a message."""
    start = _DSN.format(n=number, reference=reference(number))
    line, end = "A line of the returned mail, as long as lines of mails are.\r\n", "\r\n--=_b--\r\n"
    return (start + (line * (size // len(line)))[: size - len(start) - len(end)] + end).encode()


def posted_per_s(account: Account, sink: Sink, requests: list[bytes], posts: int, folder: Path) -> float:
    """Sends the requests; returns the POSTs per second, from the first request to the last of so many POSTs."""
    sink.command("reset")
    result = run_load(account.service.port, requests, folder, 202, connections=16)
    eventually(lambda: sink.stats()["posts"] >= posts, 180, "everything was POSTed", 0.1)
    seconds: float = (sink.stats()["last_ns"] - result["first_ns"]) / 1e9
    return posts / seconds


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    sink, service = Sink().start(), Service(folder / "data")
    of_clicks, of_reports, of_mails = [], [], []
    reports, mails = arguments.reports, arguments.mails
    try:
        service.start()
        account = service.account()
        account.loop(sink, triggers=["click", *TRIGGERS])
        register(account, 0, (reports + mails) * arguments.rounds + 1000)
        rate_of(sink, service.port, account.click_paths(2000), folder)
        posted_per_s(account, sink, report_requests(account, range(500), PER_CALL), 500, folder)
        posted_per_s(account, sink, mail_requests(account, range(500, 1000)), 500 * EVENTS_OF_MAIL, folder)
        for number in range(arguments.rounds):
            first = 1000 + number * (reports + mails)
            paths = account.click_paths(reports, first=2000 + number * reports)
            of_clicks.append(rate_of(sink, service.port, paths, folder))
            requests = report_requests(account, range(first, first + reports), PER_CALL)
            of_reports.append(posted_per_s(account, sink, requests, reports, folder))
            requests = mail_requests(account, range(first + reports, first + reports + mails))
            posts_per_s = posted_per_s(account, sink, requests, mails * EVENTS_OF_MAIL, folder)
            of_mails.append(posts_per_s / EVENTS_OF_MAIL)
            print(
                f"{of_clicks[-1]:,.0f} clicks/s, {of_reports[-1]:,.0f} reports/s, {of_mails[-1]:,.0f} mails/s",
                flush=True,
            )
    finally:
        sink.stop()
        service.end()
    return {
        "clicks_per_s": list(map(round, of_clicks)),
        "reports_per_s": list(map(round, of_reports)),
        "mails_per_s": list(map(round, of_mails)),
        "reports_to_clicks": round(statistics.median(of_reports) / statistics.median(of_clicks), 2),
    }


def main() -> None:
    defaults = {"reports": 30_000, "mails": 5000, "rounds": 3}
    row.run("reports", __doc__, measure, defaults, lambda result: result["reports_to_clicks"] >= 1)


if __name__ == "__main__":
    main()
