"""Wiring of the task that erases people: its steps, in their order, with the adapters of the ledger's process."""

from __future__ import annotations

import asyncio
from functools import partial

from actors.application.erasure_profiles import ErasureChanges, ProfilesAction
from actors.application.erasure_task import ErasureTask
from actors.application.event_recorder import EventRecorder
from actors.ledger import factory
from actors.ledger.erasure.runner import Batches, ErasureRunner
from actors.ledger.erasure.step import ErasureAction
from actors.ledger.erasure.steps.attempts import AttemptsStep
from actors.ledger.erasure.steps.bytes import BytesAction
from actors.ledger.erasure.steps.events import EventsStep
from actors.ledger.erasure.steps.front_ends import FrontEndsAction
from actors.ledger.erasure.steps.histories import HistoriesStep
from actors.ledger.erasure.steps.idempotency import IdempotencyStep
from actors.ledger.erasure.steps.lanes import LanesAction
from actors.ledger.erasure.steps.mails import MailsAction
from actors.ledger.erasure.steps.messages import MessagesStep
from actors.ledger.erasure.steps.people import PeopleAction
from actors.ledger.writer import StoreWriter
from actors.metrics.instruments import ProfileInstruments
from actors.ray_runtime import cluster_state
from actors.ray_runtime.loop_hosts import RemoteLoopHosts
from actors.ray_runtime.remote_ports import RemoteLoopNotifier
from actors.ray_runtime.wiring import ProcessContext
from actors.returned_mail.searcher import AddressSearcher
from domain.erasure import StepName


def erasure_task(context: ProcessContext, ledger: StoreWriter) -> ErasureTask:
    """The task next to the writer that erases people."""
    store = ledger.erasure_store
    changes = ErasureChanges(ledger)
    loops = RemoteLoopNotifier(context.pool, context.locations)
    recorder = EventRecorder(changes, context.reader, loops, ProfileInstruments(context.registry))
    names = partial(asyncio.to_thread, cluster_state.actor_names)
    hosts = RemoteLoopHosts(context.actors, names, context.settings.delivery_timeout_s)
    searcher = AddressSearcher()
    actions: list[ErasureAction] = [
        PeopleAction(store, context.reader.digest_key, searcher),
        Batches(MessagesStep(context.reader.digest_key), store),
        Batches(EventsStep(), store),
        ProfilesAction(store, changes, recorder),
        Batches(HistoriesStep(), store),
        FrontEndsAction(store),
        MailsAction(store, searcher),
        Batches(MessagesStep(context.reader.digest_key, StepName.LATE_MESSAGES), store),
        Batches(EventsStep(StepName.LATE_EVENTS), store),
        LanesAction(store, hosts),
        Batches(AttemptsStep(), store),
        Batches(IdempotencyStep(), store),
        BytesAction(store, factory.make_byte_clearing(context.settings)),
    ]
    return ErasureTask(ErasureRunner(actions, store))
