"""Catalogue of all metrics, one row each: name, help, source, labels with all their values, and how to merge processes.

This table bounds the labels: no account, loop, address or URL is ever one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from domain.event_catalogue.triggers import EVENT_TYPES, Source, triggers_of
from domain.reports.intake import SOURCES, ReportState
from domain.values import LoopState

PREFIX: Final = "feedback_loops_"


class Kind(StrEnum):
    """The type of a metric, as in Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Merge(StrEnum):
    """How gauges of several processes become one. Counters and histograms are summed."""

    SUM = "sum"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric."""

    kind: Kind
    #: The name without prefix, and without the suffix of counters.
    short_name: str
    #: One sentence.
    help: str
    #: The kinds of processes that report it.
    source: tuple[str, ...]
    #: The labels, each with all its values.
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Upper bounds of a histogram's buckets; the last bucket has none.
    buckets: tuple[float, ...] = ()
    merge: Merge = Merge.SUM

    @property
    def name(self) -> str:
        """The name in a scrape; the series of a histogram add `_bucket`, `_sum` and `_count`."""
        return f"{PREFIX}{self.short_name}{'_total' if self.kind is Kind.COUNTER else ''}"


#: Kinds of processes. Processes of the same kind are merged.
FRONT_END: Final = "front-end"
GATEWAY: Final = "gateway"
LEDGER: Final = "ledger"
SUPERVISOR: Final = "supervisor"
ENRICHER: Final = "enricher"
FEEDBACK_LOOP: Final = "feedback-loop"
LOOP_HOST: Final = "loop-host"
ACTORS: Final = (LEDGER, SUPERVISOR, ENRICHER, FEEDBACK_LOOP, LOOP_HOST)
PROCESSES: Final = (FRONT_END, GATEWAY, *ACTORS)
_LOOPS: Final = (FEEDBACK_LOOP, LOOP_HOST)
_PROCESS: Final = {"process": PROCESSES}

#: Values of `AttemptOutcome.error`; any other value counts as `internal`.
ERROR_WORDS: Final = (
    *("timeout", "connect", "disconnect", "tls", "dns", "address", "redirect", "status", "protocol", "too_large"),
    *("event_too_large", "internal"),
)
#: The source of events that are no reports: requests for tracking URLs.
HIT_SOURCE: Final = "hit"
PROFILE_SOURCE: Final = "profile"
#: Why deliveries wait. When the handler is up, the delay is the service's own.
HANDLERS: Final = ("up", "down", "held")
_HANDLER: Final = {"handler": HANDLERS}
#: What a running erasure waits for.
ERASURE_WAITS: Final = ("front_ends", "service")
_WAITS_FOR: Final = {"waits_for": ERASURE_WAITS}

#: Milliseconds for what the service does itself, hours for deliveries that wait for a handler.
_LATENCY_S: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    *(60.0, 300.0, 1800.0, 7200.0, 43200.0),
)
_ATTEMPT_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0)
_COMMIT_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_BATCH: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
_ROWS: Final = (*_BATCH, 512.0, 1024.0, 2048.0, 4096.0)

_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
_MAX: Final = Merge.MAX

# --- tracking hits: front ends
_FRONT: Final = (FRONT_END,)
HITS: Final = Metric(
    *(_C, "hits", "Genuine tracking hits, written to the journal and then answered.", _FRONT),
    labels={"kind": triggers_of(Source.HIT)},
)
HITS_REFUSED: Final = Metric(
    *(_C, "hits_refused", "Requests for tracking URLs with a forged or damaged token, answered with 404.", _FRONT),
)
HIT_ANSWER: Final = Metric(
    *(_H, "hit_answer_seconds", "Time that a genuine hit waits for the journal and its fsync.", _FRONT),
    buckets=_COMMIT_S,
)
JOURNAL_DEPTH: Final = Metric(_G, "journal_depth", "Hits in the journal that are not in the ledger yet.", _FRONT)
JOURNAL_AGE: Final = Metric(
    *(_G, "journal_oldest_age_seconds", "Age of the oldest hit in the journal, or 0 if it is empty.", _FRONT),
    merge=_MAX,
)
JOURNAL_TROUBLE: Final = Metric(
    *(_G, "journal_trouble", "1 while hits are kept in memory because the journal's disk is full or broken.", _FRONT),
    merge=_MAX,
)
RESERVE_LEFT: Final = Metric(
    *(_G, "journal_reserve_bytes", "Bytes left in the journal's file for hits while the disk is full.", _FRONT),
)
RESERVE_USED: Final = Metric(
    *(_G, "journal_reserve_used", "1 while the disk is full, so that hits go into the journal's reserve.", _FRONT),
    merge=_MAX,
)
DATA_DIR_LOST: Final = Metric(
    *(_G, "data_dir_lost", "1 while the data directory is missing, or another one is at its path.", _FRONT),
    merge=_MAX,
)
WRONG_INSTALLATION: Final = Metric(
    *(_G, "wrong_installation", "1 while the store belongs to another installation than the data directory.", _FRONT),
    merge=_MAX,
)
HITS_LOST: Final = Metric(_C, "hits_lost", "Hits dropped because disk and memory were full.", _FRONT)
HITS_SET_ASIDE: Final = Metric(
    *(_C, "hits_set_aside", "Hits that no enricher could read, set aside in the journal.", _FRONT),
)
FORWARD_BATCH: Final = Metric(
    *(_H, "forward_batch_hits", "Hits in a batch sent from the journal to an enricher.", _FRONT), buckets=_BATCH
)
FORWARDS_FAILED: Final = Metric(
    *(_C, "forwards_failed", "Batches that were not acknowledged; each was sent again.", _FRONT),
)
CONNECTIONS_CLOSED: Final = Metric(
    *(_C, "connections_closed", "HTTP connections closed to stay below the limit of open files.", _FRONT),
)
DISK_FREE: Final = Metric(_G, "disk_free_bytes", "Free space on the file system of the data directory.", _FRONT)
DISK_SIZE: Final = Metric(_G, "disk_size_bytes", "Size of the file system of the data directory.", _FRONT)

# --- enrichment
_ENRICHER: Final = (ENRICHER,)
ENRICH_BATCH: Final = Metric(_H, "enrich_batch_hits", "Hits in an enriched batch.", _ENRICHER, buckets=_BATCH)
EVENTS: Final = Metric(
    *(_C, "events", "Recorded events by type, and by where they come from."),
    source=(ENRICHER, GATEWAY),
    labels={"type": tuple(EVENT_TYPES), "source": (HIT_SOURCE, *SOURCES, PROFILE_SOURCE)},
)
REPORTS: Final = Metric(
    *(_C, "reports", "Reports by source and by what became of them.", _ENRICHER),
    labels={"source": SOURCES, "state": tuple(state.name.lower() for state in ReportState)},
)
EVENTS_REPEATED: Final = Metric(
    *(_C, "events_repeated", "Events already in the ledger, because their batch was sent again.", _ENRICHER),
)
MAILS_LOST: Final = Metric(
    *(_C, "mails_lost", "Returned mails whose spool file was gone before they were recorded.", _ENRICHER),
)
HITS_UNKNOWN: Final = Metric(_C, "hits_unknown", "Genuine hits whose message is not in the ledger.", _ENRICHER)
HITS_ERASED: Final = Metric(_C, "hits_erased", "Hits of messages whose recipient was erased; not recorded.", _ENRICHER)
HIT_RECORDED: Final = Metric(
    *(_H, "hit_recorded_seconds", "Time from a hit to the commit of its event.", _ENRICHER), buckets=_LATENCY_S
)

# --- the ledger
_LEDGER: Final = (LEDGER,)
COMMIT: Final = Metric(
    *(_H, "ledger_commit_seconds", "Duration of a ledger transaction, including its fsync.", _LEDGER),
    buckets=_COMMIT_S,
)
COMMIT_ROWS: Final = Metric(
    *(_H, "ledger_commit_rows", "Approximate number of rows that a ledger transaction wrote.", _LEDGER), buckets=_ROWS
)
COMMITS_FAILED: Final = Metric(
    *(_C, "ledger_commits_failed", "Transactions that the store rejected; the callers try again.", _LEDGER),
)
LEDGER_WAITING: Final = Metric(_G, "ledger_waiting_rows", "Rows waiting for the ledger's next transaction.", _LEDGER)
LEDGER_SIZE: Final = Metric(
    *(_G, "ledger_bytes", "Size of the ledger's files, if they are in the data directory.", _LEDGER),
)

# --- deliveries
_SUPERVISOR: Final = (SUPERVISOR,)
DELIVERIES: Final = Metric(
    *(_C, "deliveries", "Deliveries created with their event, delivered, or dead after the last retry."),
    source=(ENRICHER, GATEWAY, *_LOOPS),
    labels={"state": ("made", "delivered", "dead")},
)
ATTEMPTS: Final = Metric(
    *(_C, "attempts", "Finished POSTs by result: `delivered`, or the kind of failure.", _LOOPS),
    labels={"result": ("delivered", *ERROR_WORDS)},
)
ATTEMPT: Final = Metric(
    *(_H, "attempt_seconds", "Duration of a POST, from the DNS lookup to the end of the response.", _LOOPS),
    buckets=_ATTEMPT_S,
)
UNDER_WAY: Final = Metric(_G, "attempts_under_way", "POSTs in progress.", _LOOPS)
EVENT_DELIVERED: Final = Metric(
    *(
        _H,
        "event_delivered_seconds",
        "Time from the hit to the handler's 2xx; `later` are retries and replays.",
        _LOOPS,
    ),
    labels={"attempt": ("first", "later")},
    buckets=_LATENCY_S,
)
WAITING: Final = Metric(
    *(_G, "deliveries_waiting"),
    help="Deliveries that are due but not sent, counted up to 100,000 for each `handler`: `up` (it answers; the delay "
    "is the service's own), `down` (the breaker is open), `held` (the loop is paused, disabled or not verified).",
    source=_SUPERVISOR,
    labels=_HANDLER,
)
OLDEST_DUE: Final = Metric(
    *(_G, "deliveries_oldest_due_seconds", "Time for which the oldest of these deliveries has been due.", _SUPERVISOR),
    labels=_HANDLER,
    merge=_MAX,
)

# --- feedback loops
LOOPS: Final = Metric(_G, "loops", "Feedback loops by state.", _SUPERVISOR, labels={"state": tuple(LoopState)})
BREAKERS: Final = Metric(
    *(_G, "breakers", "Active feedback loops by the state of their circuit breaker.", _SUPERVISOR),
    labels={"state": ("closed", "open")},
)
STARTS_FAILED: Final = Metric(
    *(_C, "loop_starts_failed", "Failed starts of a loop's process; each is tried again within seconds.", _SUPERVISOR),
)
BACKLOG_LOOKS_FAILED: Final = Metric(
    *(_C, "backlog_looks_failed", "Failed counts of the waiting deliveries; the previous counts stay.", _SUPERVISOR),
)

# --- erasures of people
ERASURES: Final = Metric(
    *(_G, "erasures_running"),
    help="Erasures of people that have not completed, by what they wait for: `front_ends` that have to confirm, or the "
    "`service`.",
    source=_SUPERVISOR,
    labels=_WAITS_FOR,
)
ERASURE_AGE: Final = Metric(
    *(_G, "erasures_oldest_seconds", "Time since the oldest of these erasures was requested.", _SUPERVISOR),
    labels=_WAITS_FOR,
    merge=_MAX,
)

# --- processes
_GATEWAY: Final = (GATEWAY,)
RUNNING: Final = Metric(
    *(_G, "processes", "Processes that reported their metrics.", (FRONT_END, GATEWAY)), labels=_PROCESS
)
SILENT: Final = Metric(
    *(_G, "processes_silent", "Expected processes that did not answer in time; their counters stand still."),
    source=(FRONT_END, GATEWAY),
    labels=_PROCESS,
)
OTHER_VERSION: Final = Metric(
    *(_G, "processes_of_another_version", "Processes of another version than the front end's; 0 after an upgrade."),
    source=_GATEWAY,
    labels=_PROCESS,
)
RESTARTS: Final = Metric(
    *(_C, "actor_restarts", "Restarts of actors; several between two scrapes count as one.", _GATEWAY),
    labels={"process": ACTORS},
)
STARTED: Final = Metric(
    *(_G, "process_start_time_seconds", "Start of the process in Unix time; the latest of several.", PROCESSES),
    labels=_PROCESS,
    merge=_MAX,
)
CPU: Final = Metric(_C, "process_cpu_seconds", "CPU time, user and system.", PROCESSES, labels=_PROCESS)
MEMORY: Final = Metric(
    *(_G, "process_memory_bytes", "Memory as PSS, which counts a process's share of shared pages.", PROCESSES),
    labels=_PROCESS,
)
OPEN_FILES: Final = Metric(_G, "process_open_files", "Open file descriptors.", PROCESSES, labels=_PROCESS)
NODES: Final = Metric(
    *(_G, "ray_nodes", "Ray nodes by whether they are alive.", _GATEWAY), labels={"state": ("alive", "dead")}
)
GATHER: Final = Metric(
    *(_G, "gather_seconds", "Duration of the latest collection of all actors' metrics.", _GATEWAY), merge=_MAX
)

METRICS: Final = tuple(each for each in tuple(globals().values()) if isinstance(each, Metric))
BY_NAME: Final = {metric.short_name: metric for metric in METRICS}


def fits(name: str, labels: Sequence[str], buckets: int | None = None) -> bool:
    """Whether the catalogue has a series of this shape; a process of another version may send others.

    `buckets`: the number of a histogram's buckets, including the last one; None for a counter or gauge.
    """
    metric = BY_NAME.get(name)
    if metric is None or len(labels) != len(metric.labels):
        return False
    return buckets == (len(metric.buckets) + 1 if metric.kind is Kind.HISTOGRAM else None)
