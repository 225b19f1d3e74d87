"""Generator of the reference page of what a handler gets.

python -m docs._generate.events > docs/reference/events.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final

from actors.settings.options import OPTIONS
from api.openapi.webhooks import HEADERS
from domain.event_catalogue.event_fields import FIELDS, EventField, FieldType, example_of, fields_of
from domain.event_catalogue.triggers import EVENT_TYPES
from domain.payload import encode_form
from domain.retry import JITTER, RetrySchedule

_SCHEDULE: Final = RetrySchedule.parse(
    next(option.default or "" for option in OPTIONS if option.name == "retry_schedule")
)

_BEGINNING: Final = """\
# What a handler gets

Each POST contains one event:

{events}

This page is generated from the tables in `domain/event_catalogue`, and so are the `webhooks` in `/openapi.json`.

## Two ids

**`event` is the id of the event, and `id` is the id of the message.** An event keeps its id on every attempt, so
[drop repeats by `event`](../explanation/guarantees.md#dropping-repeats), never by `id`: all events of a message have
the same `id`. `message` is the message's id under a second, clear name. `GET /v1/events` has all of them in `fields`;
the `id` next to `fields` is the event's.

## Fields

The body is a form (`application/x-www-form-urlencoded`). Lists are `tags[]=a&tags[]=b` and maps are
`fields[name]=John`, which PHP's `$_POST` turns into arrays. All values are text, and empty lists are omitted. With
`format: json`, the body is a JSON object with the same names. Unknown values are omitted. Later versions may add
fields.

{fields}

A click as a form, here with a line break before each `&`:

```
{form}
```

## Headers

{headers}

## The signature

The signature follows [Standard Webhooks](https://www.standardwebhooks.com/) 1.0. It is HMAC-SHA256 over `webhook-id`,
a dot, `webhook-timestamp`, a dot, and the body's bytes. The key is the loop's secret without `whsec_`, decoded from
base64. Compare the result with each signature in the header, in constant time, and refuse a timestamp that is more
than five minutes off. After `rotate-secret`, the service signs with both secrets for 24 hours.
[Handlers in five languages](../how-to/handlers.md) do all this in a few lines.

## What the answer means

| answer | what the service does |
|---|---|
| 2xx | the event is delivered |
| 410 | disables the loop, and sends no more events until you resume it |
| 429, 503 with `Retry-After` | retries, but not before the given time (seconds or a date, at most 24 hours) |
| 3xx | does not follow the redirect, and counts a failure |
| anything else, no answer in {timeout} s, no connection | retries on the schedule |

The service retries a failed delivery after {delays}, each up to {jitter:.0%} sooner or later. After the last attempt,
{total:.1f} hours after the first, the delivery is `dead`. Dead deliveries remain visible (`feedback-loops deliveries
list`). To deliver them again, use `feedback-loops replay start` or `POST /v1/feedback-loops/{{id}}/replay`. The
schedule and the timeout are [settings](settings.md). If a handler keeps failing, the service sends it only one
delivery at a time, at growing intervals, until it answers. The other deliveries wait and use up no attempts. After
{disable} days without a success, the service disables the loop. Only time during which a failed delivery
waits for its retry counts.

## Repeats and order

Delivery is at least once: an event comes again if its answer was lost, or if you replay or retry it. Its `event` is
always the same. Store it in a table with a unique column, in the same transaction as your work, and drop events that
are already there. The service sends several POSTs at a time (`max_concurrency`), so events may arrive out of order.
With `ordered`, they arrive one after the other.
"""


def page() -> str:
    """The page, in Markdown."""
    click = {field.name: example_of("click", field) for field in fields_of("click") if "bot" not in field.name}
    return _BEGINNING.format(
        events=_table(("type", "when"), ((f"`{row.trigger}`", row.meaning) for row in EVENT_TYPES.values())),
        fields=_table(("field", "in", "meaning"), ((f"`{f.name}`", _where(f), f.meaning) for f in FIELDS)),
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
    found = [trigger for trigger in EVENT_TYPES if trigger in field.triggers]
    where = "all" if len(found) == len(EVENT_TYPES) else ", ".join(f"`{trigger}`" for trigger in found)
    if set(found) <= set(field.always):
        return where
    return f"{where}, if so" if field.type is FieldType.FLAG else f"{where}, if known"


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
