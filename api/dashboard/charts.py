"""Charts of a page: lines over minutes, drawn by the page's script and listed in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec

from actors.commands.statistics import AttemptMinute, Counts, EventMinute
from api.dashboard import labels
from domain.statistics import ANSWERS, MINUTE_MS, NOTHING, percentile_ms

Numbers = list[float | None]

_NONE: Final = Counts(answers=list(NOTHING[: len(ANSWERS)]), buckets=list(NOTHING[len(ANSWERS) :]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a chart. `style` is its colour's name in the style sheet."""

    label: str
    style: str
    values: Numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Lines over minutes."""

    title: str
    unit: str
    #: Unix seconds, ascending, one for each minute.
    times: list[int]
    lines: list[Line]

    @property
    def is_empty(self) -> bool:
        """Whether no line has a value other than 0."""
        return not any(value for line in self.lines for value in line.values)

    def data(self) -> dict[str, Any]:
        """The chart as the page's script reads it."""
        return {"unit": self.unit, "times": self.times, "lines": [asdict(line) for line in self.lines]}


class Charts(dict[str, Chart]):
    """Several charts of the same period, by name."""

    def text(self) -> str:
        """All charts, as JSON."""
        return msgspec.json.encode({name: chart.data() for name, chart in self.items()}).decode()


def _minutes(now_ms: int, count: int) -> range:
    now = now_ms // MINUTE_MS
    return range(now - count + 1, now + 1)


def attempts_chart(found: Sequence[AttemptMinute], now_ms: int, minutes: int) -> Charts:
    """A loop's attempts: counts by kind of response, and durations."""
    shown = _minutes(now_ms, minutes)
    by_minute = {minute.minute: minute.counts for minute in found}
    counts = [by_minute.get(minute, _NONE) for minute in shown]
    times = [minute * 60 for minute in shown]
    styles = ("good", "wait", "bad", "bad-2", "quiet")
    labels = ("2xx accepted", "3xx redirects", "4xx refused", "5xx failed", "no response")
    answers = [
        Line(label=label, style=style, values=[count.answers[n] for count in counts])
        for n, (label, style) in enumerate(zip(labels, styles, strict=True))
    ]
    durations = [
        Line(label=label, style=style, values=[_rounded(percentile_ms(count.buckets, share)) for count in counts])
        for label, style, share in (("p50", "accent", 0.5), ("p95", "wait", 0.95), ("p99", "bad", 0.99))
    ]
    return Charts(
        {
            "answers": Chart(title="Responses per minute", unit="", times=times, lines=answers),
            "durations": Chart(title="Response time", unit="ms", times=times, lines=durations),
        }
    )


#: The charts of an account's events: name, title, and each type with the name of its colour.
_EVENT_CHARTS: Final = (
    (
        "events",
        "Opens, clicks, unsubscribes per minute",
        {"open": "line-1", "click": "line-2", "unsubscribe": "bad"},
    ),
    (
        "reports",
        "Reports per minute",
        {"delivery": "good", "bounce": "wait", "failure": "bad", "abuse": "bad-2"},
    ),
    ("profiles", "Changes of profiles per minute", {"create": "line-1", "update": "line-3", "delete": "bad"}),
)


def events_charts(found: Sequence[EventMinute], now_ms: int, minutes: int) -> Charts:
    """An account's events by type: what readers did, what became of the mail, and changes of profiles."""
    shown = _minutes(now_ms, minutes)
    counts = {(event.type, event.minute): event.count for event in found}
    times = [minute * 60 for minute in shown]
    return Charts(
        {
            name: Chart(
                title=title,
                unit="",
                times=times,
                lines=[
                    Line(
                        label=labels.TRIGGERS[trigger].label,
                        style=style,
                        values=[counts.get((trigger, minute), 0) for minute in shown],
                    )
                    for trigger, style in styles.items()
                ],
            )
            for name, title, styles in _EVENT_CHARTS
        }
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
