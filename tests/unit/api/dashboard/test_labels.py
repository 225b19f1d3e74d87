"""The dashboard's labels for all states and errors of the service."""

from __future__ import annotations

import pytest

from actors.commands.metrics import HistogramData, Snapshot
from actors.commands.statistics import AttemptMinute, Counts, EventMinute
from actors.metrics import catalogue
from api.dashboard import labels
from api.dashboard.charts import attempts_chart, events_charts
from api.dashboard.pages.loops import success_share
from api.dashboard.pages.service import GROUPS, figures
from api.dashboard.render import duration_text, share_text, time_html
from api.dashboard.sse import message
from api.observability.prometheus import families
from domain.reports.intake import SOURCES, ReportState
from domain.returned_mail.report import Kind
from domain.values import DeliveryState, LoopState

MINUTE_MS = 60_000


def test_everything_has_a_label() -> None:
    """Each state of loops and deliveries, and each error of an attempt, has one."""
    assert {state.value for state in LoopState} <= set(labels.STATES)
    assert {state.name.lower() for state in DeliveryState} <= set(labels.STATES)
    assert set(catalogue.ERROR_WORDS) == set(labels.ERRORS)


def test_shapes_show_the_same_as_colours() -> None:
    """States of different tones never have the same shape."""
    shapes: dict[str, set[str]] = {}
    for _, tone, shape in labels.STATES.values():
        shapes.setdefault(shape, set()).add(tone)
    assert {shape for shape, tones in shapes.items() if {"good", "bad"} <= tones} == set()


@pytest.mark.parametrize(
    ("status", "error", "shown"),
    [
        (200, None, "200"),
        (302, "redirect", "302, the response is a redirect, which is not followed"),
        (503, "status", "503"),
    ],
)
def test_a_response_is_shown_as_its_status(status: int, error: str | None, shown: str) -> None:
    """The reason follows where the status does not show it."""
    assert labels.answer_text(status, error) == shown


def test_a_missing_response_is_shown_in_words() -> None:
    """An unknown error code is shown unchanged."""
    assert labels.answer_text(None, "timeout: over 15 s") == "no response in time"
    assert labels.answer_text(None, "strange") == "strange"
    assert labels.answer_text(None, None) == "no response"


def test_numbers_are_never_rounded_up_to_success() -> None:
    """A share is 100 % only when it is complete; a missing time is a dash."""
    assert [share_text(s) for s in (1.0, 0.99999, 0.0, None)] == ["100 %", "99.9 %", "0.0 %", "–"]
    assert [duration_text(ms) for ms in (7, 999.4, 1400, None)] == ["7 ms", "999 ms", "1.4 s", "–"]
    assert success_share(Counts(answers=[0] * 5, buckets=[])) is None
    assert str(time_html(None)) == '<span class="quiet">never</span>'
    assert 'title="1970-01-01 00:00:00 UTC"' in time_html(0)


def test_charts_have_every_minute() -> None:
    """Minutes without traffic are 0, or have no percentile; the newest minute is last."""
    counts = Counts(answers=[3, 0, 0, 1, 0], buckets=[4] + [0] * 11)
    charts = attempts_chart([AttemptMinute(minute=99, counts=counts)], 100 * MINUTE_MS, 3)
    answers = charts["answers"]
    assert answers.times == [98 * 60, 99 * 60, 100 * 60]
    assert [line.values for line in answers.lines][:1] == [[0, 3, 0]]
    assert answers.lines[3].values == [0, 1, 0]
    assert charts["durations"].lines[0].values == [None, 2.5, None]
    events = events_charts([EventMinute(minute=100, type="click", count=5)], 100 * MINUTE_MS, 2)
    assert [(line.label, line.values) for line in events["events"].lines][:2] == [("Opens", [0, 0]), ("Clicks", [0, 5])]
    assert [chart.is_empty for chart in events.values()] == [False, True, True]


def test_every_trigger_is_in_one_chart() -> None:
    """With a colour of its own there; complaints are beside bounces, not beside thousands of opens."""
    charts = events_charts([], 0, 1)
    lines = [line.label for chart in charts.values() for line in chart.lines]
    assert sorted(lines) == sorted(row.label for row in labels.TRIGGERS.values())
    assert all(len({line.style for line in chart.lines}) == len(chart.lines) for chart in charts.values())
    assert {"Bounces", "Complaints"} <= {line.label for line in charts["reports"].lines}


def test_every_report_has_words() -> None:
    """Each state has a label and an explanation, each kind of mail and each source a name."""
    states = {state.name.lower() for state in ReportState}
    assert states <= set(labels.STATES)
    assert states == set(labels.REPORT_STATES)
    assert set(Kind) == set(labels.MAIL_KINDS)
    assert set(SOURCES) == set(labels.REPORT_SOURCES)


def test_a_message_of_a_stream_is_one_event() -> None:
    """Content of any number of lines, and of any kind, stays one event."""
    assert message("facts", b"a\r\nb\rc\n") == b"event: facts\ndata: a\ndata: b\ndata: c\ndata: \n\n"


def test_service_figures_have_units() -> None:
    """Bytes are MB or GB, seconds a duration, a histogram its 95th percentile; missing figures are left out."""
    commits = (0,) * 3 + (95, 5) + (0,) * 9
    snapshot = Snapshot(
        [("actor_restarts", ("ledger",), 1.0), ("disk_free_bytes", (), 2e9), ("journal_oldest_age_seconds", (), 0.25)],
        [("ledger_commit_seconds", (), HistogramData(commits, 1.0))],
    )
    shown = {figure.value for _, wanted in GROUPS for figure in figures(families(snapshot), wanted)}
    assert shown == {"1", "2.0 GB", "250 ms", "5 ms"}
