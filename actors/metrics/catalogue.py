"""Every metric in one table: its name, what it tells, its labels with all their values, how processes are merged.

Labels are bounded by this table: no account, loop, address or URL is ever one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from domain.values import LoopState, Trigger

PREFIX: Final = "feedback_loops_"


class Kind(StrEnum):
    """What a metric does: only grow, stand at a value, or spread over buckets."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Merge(StrEnum):
    """How a gauge of many processes becomes one. Counters and histograms are summed."""

    SUM = "sum"
    MAX = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric."""

    #: Without prefix, and without the suffix of counters.
    short_name: str
    kind: Kind
    #: One sentence.
    help: str
    #: Each label, with every value that it may have.
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Upper bounds of a histogram's buckets but the last, which takes everything.
    buckets: tuple[float, ...] = ()
    merge: Merge = Merge.SUM
    #: The processes that tell it.
    told_by: tuple[str, ...]

    @property
    def name(self) -> str:
        """As it is scraped; a histogram's series add `_bucket`, `_sum` and `_count`."""
        return f"{PREFIX}{self.short_name}{'_total' if self.kind is Kind.COUNTER else ''}"


#: Kinds of processes. Where there are several of a kind, they are counted together.
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

#: Words of `AttemptOutcome.error`; any other is counted as `internal`.
ERROR_WORDS: Final = (
    *("timeout", "connect", "disconnect", "tls", "dns", "address", "redirect", "status", "protocol", "too_large"),
    *("event_too_large", "internal"),
)
#: Whose fault it is that deliveries wait: nobody's but ours when the handler is up.
HANDLERS: Final = ("up", "down", "held")

#: Milliseconds for what we do ourselves, hours for what waits for a handler.
_LATENCY_S: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    *(60.0, 300.0, 1800.0, 7200.0, 43200.0),
)
_ATTEMPT_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0)
_COMMIT_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_BATCH: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
_ROWS: Final = (*_BATCH, 512.0, 1024.0, 2048.0, 4096.0)

# --- tracking hits

HITS: Final = Metric(
    short_name="hits",
    kind=Kind.COUNTER,
    help="Genuine tracking hits, each kept in the journal and then answered.",
    labels={"kind": ("open", "click", "unsubscribe")},
    told_by=(FRONT_END,),
)
HITS_REFUSED: Final = Metric(
    short_name="hits_refused",
    kind=Kind.COUNTER,
    help="Requests for tracking URLs whose token is forged, cut or changed, answered with 404.",
    told_by=(FRONT_END,),
)
HIT_ANSWER: Final = Metric(
    short_name="hit_answer_seconds",
    kind=Kind.HISTOGRAM,
    help="What a genuine hit waits for before its answer: the journal, with its fsync.",
    buckets=_COMMIT_S,
    told_by=(FRONT_END,),
)
JOURNAL_DEPTH: Final = Metric(
    short_name="journal_depth",
    kind=Kind.GAUGE,
    help="Hits in the journal that the ledger does not have yet.",
    told_by=(FRONT_END,),
)
JOURNAL_AGE: Final = Metric(
    short_name="journal_oldest_age_seconds",
    kind=Kind.GAUGE,
    help="Age of the oldest hit in the journal, 0 when there is none.",
    merge=Merge.MAX,
    told_by=(FRONT_END,),
)
JOURNAL_TROUBLE: Final = Metric(
    short_name="journal_trouble",
    kind=Kind.GAUGE,
    help="1 while hits are kept in memory, because the journal's disk is full, broken or stuck.",
    merge=Merge.MAX,
    told_by=(FRONT_END,),
)
HITS_LOST: Final = Metric(
    short_name="hits_lost",
    kind=Kind.COUNTER,
    help="Hits that were dropped because disk and memory were full.",
    told_by=(FRONT_END,),
)
HITS_SET_ASIDE: Final = Metric(
    short_name="hits_set_aside",
    kind=Kind.COUNTER,
    help="Hits that no enrichment could read, kept aside in the journal.",
    told_by=(FRONT_END,),
)
FORWARD_BATCH: Final = Metric(
    short_name="forward_batch_hits",
    kind=Kind.HISTOGRAM,
    help="Hits in a batch on its way from the journal to the ledger.",
    buckets=_BATCH,
    told_by=(FRONT_END,),
)
FORWARDS_FAILED: Final = Metric(
    short_name="forwards_failed",
    kind=Kind.COUNTER,
    help="Batches that were not acknowledged; each was sent again.",
    told_by=(FRONT_END,),
)
DISK_FREE: Final = Metric(
    short_name="disk_free_bytes",
    kind=Kind.GAUGE,
    help="Room on the file system of the data directory.",
    told_by=(FRONT_END,),
)
DISK_SIZE: Final = Metric(
    short_name="disk_size_bytes",
    kind=Kind.GAUGE,
    help="Size of the file system of the data directory.",
    told_by=(FRONT_END,),
)

# --- enrichment

ENRICH_BATCH: Final = Metric(
    short_name="enrich_batch_hits",
    kind=Kind.HISTOGRAM,
    help="Hits in a batch that was enriched.",
    buckets=_BATCH,
    told_by=(ENRICHER,),
)
EVENTS: Final = Metric(
    short_name="events",
    kind=Kind.COUNTER,
    help="Events recorded from hits.",
    labels={"type": tuple(Trigger)},
    told_by=(ENRICHER,),
)
EVENTS_REPEATED: Final = Metric(
    short_name="events_repeated",
    kind=Kind.COUNTER,
    help="Events that the ledger had already, because their batch was sent again.",
    told_by=(ENRICHER,),
)
HITS_UNKNOWN: Final = Metric(
    short_name="hits_unknown",
    kind=Kind.COUNTER,
    help="Genuine hits whose message is not in the ledger.",
    told_by=(ENRICHER,),
)
HIT_RECORDED: Final = Metric(
    short_name="hit_recorded_seconds",
    kind=Kind.HISTOGRAM,
    help="From a hit to its event's commit.",
    buckets=_LATENCY_S,
    told_by=(ENRICHER,),
)

# --- the ledger

COMMIT: Final = Metric(
    short_name="ledger_commit_seconds",
    kind=Kind.HISTOGRAM,
    help="Time of one transaction of the ledger, its fsync included.",
    buckets=_COMMIT_S,
    told_by=(LEDGER,),
)
COMMIT_ROWS: Final = Metric(
    short_name="ledger_commit_rows",
    kind=Kind.HISTOGRAM,
    help="Rows that one transaction of the ledger wrote, about.",
    buckets=_ROWS,
    told_by=(LEDGER,),
)
COMMITS_FAILED: Final = Metric(
    short_name="ledger_commits_failed",
    kind=Kind.COUNTER,
    help="Transactions that the store did not take; whoever waited for one tries again.",
    told_by=(LEDGER,),
)
LEDGER_WAITING: Final = Metric(
    short_name="ledger_waiting_rows",
    kind=Kind.GAUGE,
    help="Rows that wait for the ledger's next transaction.",
    told_by=(LEDGER,),
)
LEDGER_SIZE: Final = Metric(
    short_name="ledger_bytes",
    kind=Kind.GAUGE,
    help="Size of the ledger's files, when they are in the data directory.",
    told_by=(LEDGER,),
)

# --- deliveries

DELIVERIES: Final = Metric(
    short_name="deliveries",
    kind=Kind.COUNTER,
    help="Deliveries that came to a state: made with their event, delivered, or dead after the last retry.",
    labels={"state": ("made", "delivered", "dead")},
    told_by=(ENRICHER, *_LOOPS),
)
ATTEMPTS: Final = Metric(
    short_name="attempts",
    kind=Kind.COUNTER,
    help="POSTs that ended, by what came of them: `delivered`, or the word for what went wrong.",
    labels={"result": ("delivered", *ERROR_WORDS)},
    told_by=_LOOPS,
)
ATTEMPT: Final = Metric(
    short_name="attempt_seconds",
    kind=Kind.HISTOGRAM,
    help="Time of one POST, from looking up the handler's address to the end of its answer.",
    buckets=_ATTEMPT_S,
    told_by=_LOOPS,
)
UNDER_WAY: Final = Metric(
    short_name="attempts_under_way",
    kind=Kind.GAUGE,
    help="POSTs under way.",
    told_by=_LOOPS,
)
EVENT_DELIVERED: Final = Metric(
    short_name="event_delivered_seconds",
    kind=Kind.HISTOGRAM,
    help="From the event (the hit) to the handler's 2xx; `later` are retries and replays.",
    labels={"attempt": ("first", "later")},
    buckets=_LATENCY_S,
    told_by=_LOOPS,
)
WAITING: Final = Metric(
    short_name="deliveries_waiting",
    kind=Kind.GAUGE,
    help="Deliveries that are due and not made, counted up to 100,000 for each `handler`: `up` (it answers, so the "
    "wait is ours), `down` (the breaker is open), `held` (the loop is paused, disabled or not verified).",
    labels={"handler": HANDLERS},
    told_by=(SUPERVISOR,),
)
OLDEST_DUE: Final = Metric(
    short_name="deliveries_oldest_due_seconds",
    kind=Kind.GAUGE,
    help="How long the oldest of them has been due.",
    labels={"handler": HANDLERS},
    merge=Merge.MAX,
    told_by=(SUPERVISOR,),
)

# --- feedback loops

LOOPS: Final = Metric(
    short_name="loops",
    kind=Kind.GAUGE,
    help="Feedback loops by state.",
    labels={"state": tuple(LoopState)},
    told_by=(SUPERVISOR,),
)
BREAKERS: Final = Metric(
    short_name="breakers",
    kind=Kind.GAUGE,
    help="Active feedback loops by the state of their circuit breaker.",
    labels={"state": ("closed", "open")},
    told_by=(SUPERVISOR,),
)
STARTS_FAILED: Final = Metric(
    short_name="loop_starts_failed",
    kind=Kind.COUNTER,
    help="Loops whose process did not start; each is tried again within seconds.",
    told_by=(SUPERVISOR,),
)
LOOK_FAILED: Final = Metric(
    short_name="backlog_looks_failed",
    kind=Kind.COUNTER,
    help="Times that what waits could not be looked up; until it can, the figures of before are told.",
    told_by=(SUPERVISOR,),
)

# --- processes

RUNNING: Final = Metric(
    short_name="processes",
    kind=Kind.GAUGE,
    help="Processes that told their figures.",
    labels=_PROCESS,
    told_by=(FRONT_END, GATEWAY),
)
SILENT: Final = Metric(
    short_name="processes_silent",
    kind=Kind.GAUGE,
    help="Processes that should be there and did not answer in time; their counters stand still meanwhile.",
    labels=_PROCESS,
    told_by=(FRONT_END, GATEWAY),
)
OTHER_VERSION: Final = Metric(
    short_name="processes_of_another_version",
    kind=Kind.GAUGE,
    help="Processes of another version than the front end that is asked; all 0 when an upgrade is over.",
    labels=_PROCESS,
    told_by=(GATEWAY,),
)
RESTARTS: Final = Metric(
    short_name="actor_restarts",
    kind=Kind.COUNTER,
    help="Actors that were found to be another process than before; several restarts between two scrapes are one.",
    labels={"process": ACTORS},
    told_by=(GATEWAY,),
)
STARTED: Final = Metric(
    short_name="process_start_time_seconds",
    kind=Kind.GAUGE,
    help="When the process started, in Unix time; of several, the latest.",
    labels=_PROCESS,
    merge=Merge.MAX,
    told_by=PROCESSES,
)
CPU: Final = Metric(
    short_name="process_cpu_seconds",
    kind=Kind.COUNTER,
    help="CPU time, user and system.",
    labels=_PROCESS,
    told_by=PROCESSES,
)
MEMORY: Final = Metric(
    short_name="process_memory_bytes",
    kind=Kind.GAUGE,
    help="Memory (PSS: what is shared is counted in parts).",
    labels=_PROCESS,
    told_by=PROCESSES,
)
OPEN_FILES: Final = Metric(
    short_name="process_open_files",
    kind=Kind.GAUGE,
    help="Open file descriptors.",
    labels=_PROCESS,
    told_by=PROCESSES,
)
NODES: Final = Metric(
    short_name="ray_nodes",
    kind=Kind.GAUGE,
    help="Nodes that Ray knows, by whether they are alive.",
    labels={"state": ("alive", "dead")},
    told_by=(GATEWAY,),
)
GATHER: Final = Metric(
    short_name="gather_seconds",
    kind=Kind.GAUGE,
    help="How long it took to ask all actors for their figures.",
    merge=Merge.MAX,
    told_by=(GATEWAY,),
)

METRICS: Final[tuple[Metric, ...]] = (
    *(HITS, HITS_REFUSED, HIT_ANSWER, JOURNAL_DEPTH, JOURNAL_AGE, JOURNAL_TROUBLE, HITS_LOST, HITS_SET_ASIDE),
    *(FORWARD_BATCH, FORWARDS_FAILED, DISK_FREE, DISK_SIZE),
    *(ENRICH_BATCH, EVENTS, EVENTS_REPEATED, HITS_UNKNOWN, HIT_RECORDED),
    *(COMMIT, COMMIT_ROWS, COMMITS_FAILED, LEDGER_WAITING, LEDGER_SIZE),
    *(DELIVERIES, ATTEMPTS, ATTEMPT, UNDER_WAY, EVENT_DELIVERED, WAITING, OLDEST_DUE),
    *(LOOPS, BREAKERS, STARTS_FAILED, LOOK_FAILED),
    *(RUNNING, SILENT, OTHER_VERSION, RESTARTS, STARTED, CPU, MEMORY, OPEN_FILES, NODES, GATHER),
)
BY_NAME: Final = {metric.short_name: metric for metric in METRICS}


def fits(name: str, labels: Sequence[str], buckets: int | None = None) -> bool:
    """Whether a series can be shown and summed here; one of another version may be of another shape.

    `buckets`: how many a histogram has, the last included; None for a number.
    """
    metric = BY_NAME.get(name)
    if metric is None or len(labels) != len(metric.labels):
        return False
    return buckets == (len(metric.buckets) + 1 if metric.kind is Kind.HISTOGRAM else None)
