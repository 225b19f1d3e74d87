"""The reference page of what a handler gets, made from its table.

python -m docs._generate.events > docs/reference/events.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final

from actors.settings.options import OPTIONS
from api.openapi.webhooks import HEADERS
from domain.event_catalogue.fields import FIELDS, EventField, FieldType, example_of, fields_of
from domain.event_catalogue.triggers import EVENT_TYPES, SENT_TYPES
from domain.payload import encode_form
from domain.retry import JITTER, RetrySchedule

_SCHEDULE: Final = RetrySchedule.parse(
    next(option.default or "" for option in OPTIONS if option.name == "retry_schedule")
)

_BEGINNING: Final = """\
# What a handler gets

One POST is one event, never an aggregate. This version sends these events:

{events}

A loop can have the other triggers too ({others}); of those it gets the samples that `feedback-loops loops test`
sends, and no events yet.

This page is made from the tables in `domain/event_catalogue`, and so are the `webhooks` in `/openapi.json`.

## Fields

The body is a form (`application/x-www-form-urlencoded`): lists are `tags[]=a&tags[]=b`, maps `fields[name]=John`,
which PHP's `$_POST` reads back as arrays. All values are text, and an empty list is left out. With `format: json`
it is a JSON object with the same names. What is not known is left out. Later versions may add fields.

{fields}

A click as a form, here with a line break before each `&`:

```
{form}
```

## Headers

{headers}

## The signature

It is that of [Standard Webhooks](https://www.standardwebhooks.com/) 1.0: HMAC-SHA256 with the loop's secret (the
bytes behind `whsec_`, from base64) over `webhook-id`, a dot, `webhook-timestamp`, a dot, and the body as it came.
Compare it with each of the signatures in the header, in constant time, and refuse a timestamp that is more than
five minutes off. After `rotate-secret` the old secret signs beside the new one for 24 hours.
[Handlers in five languages](../how-to/handlers.md) do all that in a few lines each.

## What the answer means

| answer | what follows |
|---|---|
| 2xx | the event is delivered |
| 410 | the loop is disabled: no more events, until it is resumed |
| 429, 503 with `Retry-After` | tried again, not before it says (seconds or a date, at most 24 hours) |
| 3xx | redirects are not followed: a failure like any other |
| anything else, no answer in {timeout} s, no connection | tried again on the schedule |

After a failed attempt the next one comes after {delays}, each up to {jitter:.0%} sooner or later; after the last,
{total:.1f} hours after the first, the delivery is `dead`. A dead one stays to be seen (`feedback-loops deliveries
list`) and can be delivered again: `feedback-loops replay start`, or `POST /v1/feedback-loops/{{id}}/replay`. The
schedule and the time-out are [settings](settings.md). A handler that fails again and again is asked more seldom, by
one delivery at a time, until it answers; the others wait, and lose no attempts. One that does nothing but fail for
{disable} days is disabled.

A connection that breaks at once without an answer is tried once more at once.

## Repeats and order

Delivery is at least once: an event comes again when its answer was lost, and when it is replayed or retried. Its
`event` is always the same: keep it in a table with a unique column, in the transaction that does the work, and drop
what is there already. Several POSTs are under way at a time (`max_concurrency`), so events may overtake each other;
with `ordered` they come one after the other.
"""


def page() -> str:
    """The page, in Markdown."""
    click = {field.name: example_of("click", field) for field in fields_of("click") if "bot" not in field.name}
    sent = [field for field in FIELDS if _sent_triggers(field)]
    return _BEGINNING.format(
        events=_table(("type", "when"), ((f"`{row.trigger}`", row.meaning) for row in SENT_TYPES)),
        others=", ".join(f"`{row.trigger}`" for row in EVENT_TYPES.values() if not row.is_sent),
        fields=_table(("field", "in", "meaning"), ((f"`{f.name}`", _where(f), f.meaning) for f in sent)),
        headers=_table(("header", "value"), ((f"`{header.name}`", header.meaning) for header in HEADERS)),
        form=encode_form(click).decode().replace("&", "\n&"),
        timeout=_default("delivery_timeout"),
        delays=_delays(),
        jitter=JITTER,
        total=sum(_SCHEDULE.delays_s) / 3600,
        disable=int(_default("disable_after")) // 86400,
    )


def _default(name: str) -> str:
    return next(option.default or "" for option in OPTIONS if option.name == name)


def _where(field: EventField) -> str:
    found = _sent_triggers(field)
    where = "all" if len(found) == len(SENT_TYPES) else ", ".join(f"`{trigger}`" for trigger in found)
    if field.is_always:
        return where
    return f"{where}, if so" if field.type is FieldType.FLAG else f"{where}, if known"


def _sent_triggers(field: EventField) -> list[str]:
    return [row.trigger.value for row in SENT_TYPES if row.trigger in field.triggers]


def _delays() -> str:
    return ", ".join(_duration(delay_s) for delay_s in _SCHEDULE.delays_s)


def _duration(seconds: float) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *lines])


if __name__ == "__main__":
    sys.stdout.write(page())
