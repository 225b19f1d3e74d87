"""Registration of messages from a JSON body or NDJSON lines, and the tracking URLs for the answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Final, ParamSpec, TypeVar

import msgspec

from actors.commands.messages import MessageResult, MessageSpec, RegisteredMessage, Rejection
from api.http.body import MAX_MESSAGE_TOKENS, MIB, check_json_tokens, run_in_thread_if_long, size_text
from api.http.problems import TOO_LARGE, ProblemError, problem_of
from api.http.response import json_bytes
from api.http.strict_json import read_json
from api.http.validation import invalid_input, validate
from api.messages.html_rewriter import links_in, rewrite_html
from api.schemas.messages import NewMessage, TrackedMessage
from api.tracking.urls import TrackingUrls
from domain.errors import FeedbackLoopsError, InvalidInput, from_wire
from domain.message import MAX_LINKS, link_problem

MAX_LINES: Final = 20_000
#: Limit of one message, whether it is the body or a line.
MAX_MESSAGE_BYTES: Final = 3 * MIB
#: Messages in one command; the ledger writes them in one transaction.
CHUNK: Final = 500
#: Concurrent commands: the next is prepared while one is written. Bounded, to bound the memory.
IN_FLIGHT: Final = 2
#: Seconds for which the event loop may be busy before it must answer tracking hits.
_TURN_S: Final = 0.002

#: HTML takes about 100 ns per character. Longer texts go into a thread, so that hits are answered meanwhile.
_LONG_HTML_CHARS: Final = 20_000

P = ParamSpec("P")
T = TypeVar("T")
Register = Callable[[list[MessageSpec]], Awaitable[list[MessageResult]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedMessage:
    """A validated message: its registration, and the HTML to rewrite afterwards."""

    spec: MessageSpec
    html: str | None


async def prepare(message: NewMessage, urls: TrackingUrls, seed: str | None, number: int) -> PreparedMessage:
    """Prepares the registration of a message, including the links in its HTML.

    If there is a seed, a message without an id gets one derived from `seed` and `number`.

    Raises:
        InvalidInput: the HTML has too many links, or one that cannot be tracked.
    """
    return await _in_turn(message.html, _prepare, message, urls, seed, number)


def _prepare(message: NewMessage, urls: TrackingUrls, seed: str | None, number: int) -> PreparedMessage:
    sent = message.model_fields_set
    html = message.html if "html" in sent else None
    links = list(dict.fromkeys(message.links))
    if html is not None:
        links = _with_links_of(html, links, urls.prefixes)
    profile = message.profile if "profile" in sent else None
    spec = MessageSpec(
        recipient=message.recipient,
        id=message.id if "id" in sent else _made_id(seed, number),
        tags=message.tags,
        mailing=message.mailing if "mailing" in sent else None,
        database=profile.database if profile else None,
        profile=profile.id if profile else None,
        links=links,
    )
    return PreparedMessage(spec=spec, html=html)


def _made_id(seed: str | None, number: int) -> str | None:
    return f"msg_{sha256(f'{seed}/{number}'.encode()).hexdigest()[:32]}" if seed else None


def _with_links_of(html: str, links: list[str], tracked: tuple[str, ...]) -> list[str]:
    found = links_in(html, tracked)
    for link in found:
        if problem := link_problem(link):
            raise invalid_input([("/html", f"holds a link that cannot be tracked: {link[:80]}… {problem}")])
    links = list(dict.fromkeys([*links, *found]))
    if len(links) > MAX_LINKS:
        raise invalid_input([("/html", f"must hold, together with links, at most {MAX_LINKS} different links")])
    return links


async def tracked(prepared: PreparedMessage, registered: RegisteredMessage, urls: TrackingUrls) -> TrackedMessage:
    """The message's tracking URLs, and its HTML with these URLs."""
    return await _in_turn(prepared.html, _tracked, prepared, registered, urls)


def _tracked(prepared: PreparedMessage, registered: RegisteredMessage, urls: TrackingUrls) -> TrackedMessage:
    no, key = registered.account_no, registered.key
    links = {link: urls.link_url(no, key, link) for link in prepared.spec.links}
    open_url = urls.open_url(no, key)
    answer = TrackedMessage(
        id=registered.id, open_url=open_url, unsubscribe_url=urls.unsubscribe_url(no, key), links=links
    )
    if prepared.html is None:
        return answer
    html = rewrite_html(prepared.html, links.__getitem__, open_url, urls.prefixes)
    return answer.model_copy(update={"html": html})


async def _in_turn(html: str | None, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    if html is not None and len(html) > _LONG_HTML_CHARS:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)


def error_of(rejection: Rejection) -> FeedbackLoopsError:
    """The error for a rejected message."""
    if rejection.error == InvalidInput.__name__:
        return InvalidInput(rejection.detail, rejection.problems)
    return from_wire(rejection.error, [rejection.detail])


def read_lines(body: bytes) -> list[bytes]:
    """The lines of an NDJSON body, without blank ones.

    Raises:
        InvalidInput: there are no lines, or more than `MAX_LINES`.
    """
    if body.count(b"\n") > MAX_LINES:
        raise invalid_input([("", f"must hold at most {MAX_LINES} lines; split it into several requests")])
    lines = [line for line in body.split(b"\n") if line.strip()]
    if not lines:
        raise invalid_input([("", "must hold at least one line, each a message as JSON")])
    return lines


def _read_line(line: bytes) -> NewMessage:
    if len(line) > MAX_MESSAGE_BYTES:
        raise ProblemError(TOO_LARGE, f"the line is larger than {size_text(MAX_MESSAGE_BYTES)}, the limit of a message")
    check_json_tokens(line, MAX_MESSAGE_TOKENS)
    return validate(NewMessage, read_json(line))


class LinesRegistrar:
    """Registers the messages of an NDJSON body and answers each line with a line, in order.

    An invalid line is answered with a problem and does not affect the others. An error that concerns all lines ends the
    request; if the client sends it again with the same Idempotency-Key, no message is registered twice.
    """

    def __init__(self, register: Register, urls: TrackingUrls, seed: str | None) -> None:
        self._register = register
        self._urls = urls
        self._seed = seed
        self._turn_began_s = time.perf_counter()

    async def answer(self, lines: Sequence[bytes]) -> bytes:
        """Registers the messages and returns the lines of the response.

        Raises:
            FeedbackLoopsError: not everything was registered.
        """
        answers: list[bytes] = []
        numbered = iter(enumerate(lines))
        under_way: list[asyncio.Task[list[bytes]]] = []
        try:
            while chunk := list(islice(numbered, CHUNK)):
                if len(under_way) == IN_FLIGHT:
                    answers += await under_way.pop(0)
                prepared = [await self._prepared(number, line) for number, line in chunk]
                under_way.append(asyncio.create_task(self._chunk_answers(prepared)))
            while under_way:
                answers += await under_way.pop(0)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        return b"\n".join([*answers, b""])

    async def _prepared(self, number: int, line: bytes) -> PreparedMessage | bytes:
        """The message of a line, or the problem line that answers it."""
        await self._give_way()
        try:
            message = await run_in_thread_if_long(len(line), _read_line, line)
            return await prepare(message, self._urls, self._seed, number)
        except (InvalidInput, ProblemError) as exc:
            return _problem_line(exc)

    async def _chunk_answers(self, prepared: list[PreparedMessage | bytes]) -> list[bytes]:
        specs = [p.spec for p in prepared if isinstance(p, PreparedMessage)]
        results = iter(await self._register(specs) if specs else [])
        return [p if isinstance(p, bytes) else await self._answer(p, results) for p in prepared]

    async def _answer(self, prepared: PreparedMessage, results: Iterator[MessageResult]) -> bytes:
        await self._give_way()
        result = next(results)
        if result.message is not None:
            return json_bytes(await tracked(prepared, result.message, self._urls))
        if result.rejection is None:
            raise FeedbackLoopsError("a message was neither registered nor rejected")
        return _problem_line(error_of(result.rejection))

    async def _give_way(self) -> None:
        if time.perf_counter() - self._turn_began_s > _TURN_S:
            await asyncio.sleep(0)
            self._turn_began_s = time.perf_counter()


def _problem_line(error: Exception) -> bytes:
    return msgspec.json.encode(problem_of(error).document())
