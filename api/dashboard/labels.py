"""Human-readable labels for triggers, states and error codes."""

from __future__ import annotations

from typing import Final

from actors.commands.deliveries import DeliveryView
from actors.commands.loops import Loop
from domain.event_catalogue.triggers import EVENT_TYPES, EventType

#: Sections of the dashboard: path below the root, and name.
SECTIONS: Final = (
    ("", "Overview"),
    ("loops", "Loops"),
    ("events", "Events"),
    ("messages", "Messages"),
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
}

ERRORS: Final[dict[str, str]] = {
    "timeout": "no response in time",
    "connect": "the connection could not be opened",
    "disconnect": "the connection broke before the response",
    "dns": "its host name could not be resolved",
    "tls": "no trusted TLS connection could be made",
    "address": "its address is not allowed",
    "redirect": "the response is a redirect, which is not followed",
    "status": "the response is an error",
    "protocol": "the response is not HTTP",
    "too_large": "the response is too large",
    "internal": "the service could not make the attempt; see its log",
    "event_too_large": "the event is larger than the limit of a POST",
}

#: Confirmations, by the value of `done` in the URL.
DONE: Final[dict[str, str]] = {
    "created": "The feedback loop was created. Now prove that the server is yours.",
    "verified": "Verified. Events are delivered from now on.",
    "saved": "Saved.",
    "url": "Saved. The URL has changed, so verify the loop again.",
    "paused": "Paused. Events are kept until you resume.",
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


def answer_text(status: int | None, error: str | None) -> str:
    """The result of an attempt, in a few words."""
    if status is not None:
        return f"{status}" + (f", {ERRORS[error]}" if error == "redirect" else "")
    word = (error or "").partition(":")[0]
    return ERRORS.get(word, word or "no response")
