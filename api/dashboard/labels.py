"""Human-readable labels for triggers, states and error codes."""

from __future__ import annotations

from typing import Final

from actors.commands.deliveries import DeliveryView
from actors.commands.loops import Loop
from actors.commands.reports import ReportView
from domain.event_catalogue.triggers import EVENT_TYPES, EventType
from domain.reports.intake import API, MAIL
from domain.returned_mail.report import Kind

#: Sections of the dashboard: path below the root, and name.
SECTIONS: Final = (
    ("", "Overview"),
    ("loops", "Loops"),
    ("events", "Events"),
    ("messages", "Messages"),
    ("reports", "Reports"),
    ("people", "People"),
    ("account", "Account"),
    ("service", "Service"),
)

#: Triggers by name, in the order of the form.
TRIGGERS: Final[dict[str, EventType]] = dict(sorted(EVENT_TYPES.items(), key=lambda item: item[1].source.value))

#: Label, colour name and shape of each state: the shape helps people who cannot see the colour.
STATES: Final[dict[str, tuple[str, str, str]]] = {
    "unverified": ("unverified", "wait", "◌"),
    "active": ("active", "good", "●"),
    "paused": ("paused", "wait", "❚❚"),
    "disabled": ("disabled", "bad", "■"),
    "failing": ("failing", "bad", "▲"),
    "pending": ("pending", "wait", "◌"),
    "retrying": ("retrying", "bad", "▲"),
    "delivered": ("delivered", "good", "●"),
    "dead": ("dead", "bad", "■"),
    "running": ("running", "wait", "◌"),
    "done": ("done", "good", "●"),
    "cancelled": ("cancelled", "wait", "■"),
    "completed": ("completed", "good", "●"),
    "matched": ("matched", "good", "●"),
    "unmatched": ("unmatched", "wait", "◌"),
    "unreadable": ("unreadable", "bad", "▲"),
    "repeated": ("repeated", "wait", "❚❚"),
    "refused": ("refused", "bad", "■"),
    "erased": ("erased", "wait", "■"),
}

#: What each state of a report means.
REPORT_STATES: Final[dict[str, str]] = {
    "matched": "It belongs to a message of this account.",
    "unmatched": "No message of this account belongs to it. Its events go to loops without tag and database filters.",
    "unreadable": "The mail could not be parsed. It became a bounce, which has the mail itself.",
    "repeated": "The same report had been recorded before, so nothing was recorded for it.",
    "refused": "Its API key had been revoked before it arrived, so nothing was recorded for it.",
    "erased": "The person whom it is about was erased, so nothing was recorded for it.",
}

#: Kinds of returned mail; the kind of another report is the name of its trigger.
MAIL_KINDS: Final[dict[str, str]] = {
    Kind.FAILED: "status notification: failed",
    Kind.DELAYED: "status notification: delayed",
    Kind.DELIVERED: "status notification: delivered",
    Kind.RELAYED: "status notification: relayed",
    Kind.EXPANDED: "status notification: expanded",
    Kind.ABUSE: "complaint: spam",
    Kind.FRAUD: "complaint: fraud",
    Kind.VIRUS: "complaint: virus",
    Kind.OPT_OUT: "opt-out",
    Kind.NOT_SPAM: "complaint withdrawn",
    Kind.AUTH_FAILURE: "authentication failure",
    Kind.AUTO_REPLY: "automatic reply",
    Kind.CHALLENGE: "challenge",
    Kind.BOUNCE: "bounce without a status notification",
    Kind.OTHER: "other mail",
    Kind.UNREADABLE: "unreadable mail",
}

#: What an erasure is doing, by the names of its steps.
ERASURE_STEPS: Final[dict[str, str]] = {
    "people": "finding the person by a digest",
    "messages": "removing the person from messages",
    "events": "removing the person from events and deliveries",
    "profiles": "removing the person from profiles",
    "histories": "removing the person from former data of profiles",
    "front_ends": "renewing the journals of the front ends",
    "mails": "searching returned mails",
    "late_messages": "looking for messages that came in meanwhile",
    "late_events": "looking for events that came in meanwhile",
    "lanes": "waiting for attempts under way",
    "attempts": "responses to attempts",
    "answers": "removing stored answers of the API",
    "bytes": "overwriting what the store's files still hold",
}

#: Where reports come from.
REPORT_SOURCES: Final[dict[str, str]] = {API: "API", MAIL: "returned mail"}

ERRORS: Final[dict[str, str]] = {
    "timeout": "no response in time",
    "connect": "the connection could not be opened",
    "disconnect": "the connection broke before the response",
    "dns": "its host name could not be resolved",
    "tls": "no trusted TLS connection could be made (--handler-ca-file adds private authorities)",
    "address": "its address is not allowed",
    "redirect": "the response is a redirect, which is not followed",
    "status": "the response is an error",
    "protocol": "the response is not HTTP",
    "too_large": "the response is too large",
    "internal": "the service could not make the attempt; see its log",
    "event_too_large": "the event is larger than the limit of a POST",
}

#: Confirmations of what the next page does not show anyway, by the value of `done` in the URL.
DONE: Final[dict[str, str]] = {
    "created": "The feedback loop was created.",
    "verified": "Verified. Events are delivered from now on.",
    "saved": "Saved.",
    "url": "Saved. The URL has changed, so the loop must be verified again.",
    "resumed": "Resumed. The backlog is being delivered.",
    "deleted": "The feedback loop was deleted.",
    "retried": "The delivery is being retried.",
    "cancelled": "The replay was cancelled. Deliveries that are already queued are still made.",
    "password": "Your password was changed, and your other sessions have ended.",
    "user-added": "The user was added.",
    "user-removed": "The user was removed and signed out everywhere.",
    "key-revoked": "The key was revoked. It stops working within seconds.",
    "signed-out": "You have signed out.",
    "session-ended": "Your session had ended, so your change was not made. Sign in and send it again.",
}


def loop_name(loop: Loop) -> str:
    """The loop's name: the first line of its description, or its URL."""
    first_line = loop.settings.description.strip().partition("\n")[0].strip()
    return first_line[:80] or loop.url.partition("//")[2][:80]


def loop_state(loop: Loop) -> str:
    """The loop's state, or `failing` if it is active and its handler fails."""
    return "failing" if loop.state == "active" and loop.health.failing_since_ms is not None else loop.state


def delivery_state(delivery: DeliveryView) -> str:
    """The delivery's state, or `retrying` if it has failed before."""
    return "retrying" if delivery.state == "pending" and delivery.attempts else delivery.state


def report_kind(report: ReportView) -> str:
    """The kind of a report, in a few words."""
    return MAIL_KINDS.get(report.kind, report.kind) if report.source == MAIL else report.kind


def answer_text(status: int | None, error: str | None) -> str:
    """The result of an attempt, in a few words."""
    if status is not None:
        return f"{status}" + (f", {ERRORS[error]}" if error == "redirect" else "")
    word = (error or "").partition(":")[0]
    return ERRORS.get(word, word or "no response")
