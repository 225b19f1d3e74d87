"""The dashboard's words for what the service calls by one: triggers, states, errors, in plain English."""

from __future__ import annotations

from typing import Final

from actors.commands.deliveries import DeliveryView
from actors.commands.loops import Loop
from api.openapi.webhooks import EVENTS

#: Parts of the dashboard: their paths below its root, and their names.
SECTIONS: Final = (
    ("", "Overview"),
    ("loops", "Loops"),
    ("events", "Events"),
    ("messages", "Messages"),
    ("account", "Account"),
    ("service", "Service"),
)

#: Triggers in the order of the form, with what they mean to somebody who sends newsletters.
TRIGGERS: Final[dict[str, tuple[str, str]]] = {
    "open": ("Opens", "Somebody opened a message (its pixel was loaded)."),
    "click": ("Clicks", "Somebody followed a link in a message."),
    "unsubscribe": ("Unsubscribes", "Somebody unsubscribed by the mail program's button or on the page."),
    "delivery": ("Deliveries", "The receiving mail server took a message."),
    "failure": ("Failures", "A message could not be delivered."),
    "bounce": ("Bounces", "A message came back."),
    "abuse": ("Complaints", "Somebody marked a message as spam."),
    "create": ("New profiles", "A profile or subprofile was made."),
    "update": ("Changed profiles", "A profile or subprofile was changed."),
    "delete": ("Deleted profiles", "A profile or subprofile was deleted."),
}
#: Those of which this version sends samples alone.
NOT_SENT_YET: Final = frozenset(TRIGGERS) - frozenset(EVENTS)

#: A state's word, its colour's name, and its shape, so that colour is never all that tells.
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
    "timeout": "it did not answer in time",
    "connect": "no connection could be made",
    "disconnect": "the connection broke before it had answered",
    "dns": "its name could not be looked up",
    "tls": "no trusted TLS connection could be made",
    "address": "its address is not allowed",
    "redirect": "it answered with a redirect, which is not followed",
    "status": "it answered with an error",
    "protocol": "what it answered is not HTTP",
    "too_large": "its answer was too large",
    "internal": "the service could not make the attempt; its log says why",
    "event_too_large": "the event is larger than any POST may be",
}

#: What was done, by the word in the URL after it was.
DONE: Final[dict[str, str]] = {
    "created": "The feedback loop was made. Now show that the server is yours.",
    "verified": "Verified. Events are on their way from now on.",
    "saved": "Saved.",
    "url": "Saved. The address has changed, so the loop has to be verified anew.",
    "paused": "Paused. Events are kept until you resume.",
    "resumed": "Resumed. What was kept is being delivered.",
    "deleted": "The feedback loop was deleted.",
    "retried": "The delivery is being tried again.",
    "cancelled": "The replay was cancelled. What was given back already is still delivered.",
    "password": "Your password was changed, and your other sessions have ended.",
    "user-added": "The user was added.",
    "user-removed": "The user was removed, and all sessions of theirs have ended.",
    "key-revoked": "The key was revoked. It opens nothing any more, at the latest in some seconds.",
    "signed-out": "You have signed out.",
    "session-ended": "Your session had ended, so what you sent was not done. Sign in, and send it again.",
}


def loop_name(loop: Loop) -> str:
    """What a loop is called: the first line of its description, or its address."""
    first_line = loop.settings.description.strip().partition("\n")[0].strip()
    return first_line[:80] or loop.url.partition("//")[2][:80]


def loop_state(loop: Loop) -> str:
    """The loop's state, or `failing` when it is active and its handler fails."""
    return "failing" if loop.state == "active" and loop.health.failing_since_ms is not None else loop.state


def delivery_state(delivery: DeliveryView) -> str:
    """The delivery's state, or `retrying` when it has failed before."""
    return "retrying" if delivery.state == "pending" and delivery.attempts else delivery.state


def answer_text(status: int | None, error: str | None) -> str:
    """What an attempt met with, in a few words."""
    if status is not None:
        return f"{status}" + (f", {ERRORS[error]}" if error == "redirect" else "")
    word = (error or "").partition(":")[0]
    return ERRORS.get(word, word or "no answer")
