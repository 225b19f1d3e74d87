"""NDJSON bodies: each line is read, carried out and answered on its own, in order."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Generic, TypeVar

import msgspec
from pydantic import BaseModel

from actors.commands.messages import Rejection
from api.http.body import MAX_JSON_TOKENS, MIB, check_json_tokens, run_in_thread_if_long, size_text
from api.http.problem_types import TOO_LARGE
from api.http.problems import ProblemError, problem_of
from api.http.strict_json import read_json
from api.http.validation import invalid_input, validate
from domain.errors import FeedbackLoopsError, InvalidInput, from_wire
from domain.validation import text_problem

MAX_LINES: Final = 20_000
MAX_LINES_BYTES: Final = 16 * MIB
#: Items in one command.
CHUNK: Final = 500
#: Seconds for which the event loop may be busy before it must answer tracking hits.
_TURN_S: Final = 0.002

ModelT = TypeVar("ModelT", bound=BaseModel)
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of an NDJSON body."""

    lines: list[bytes]


def error_of(rejection: Rejection) -> FeedbackLoopsError:
    """The error for a rejected item."""
    if rejection.error == InvalidInput.__name__:
        return InvalidInput(rejection.detail, rejection.problems)
    return from_wire(rejection.error, [rejection.detail])


def read_lines(body: bytes, what: str = "message") -> Lines:
    """All lines of an NDJSON body, also blank ones, without a byte order mark and what follows the last line break.

    Raises:
        InvalidInput: all lines are blank, or there are more than `MAX_LINES`.
    """
    body = body.removeprefix(BOM_UTF8)
    if body.count(b"\n") + (not body.endswith(b"\n")) > MAX_LINES:
        raise invalid_input([("", f"must hold at most {MAX_LINES} lines; split it into several requests")])
    if not body.strip():
        raise invalid_input([("", f"must hold at least one line, each a {what} as JSON")])
    return Lines(body.removesuffix(b"\n").split(b"\n"))


@dataclass(frozen=True, slots=True)
class LineFormat(Generic[ModelT]):
    """The model of a line, and its limits."""

    model: type[ModelT]
    #: For problems: what a line holds.
    what: str
    max_bytes: int
    max_tokens: int = MAX_JSON_TOKENS

    def read(self, line: bytes) -> tuple[str | None, ModelT | Exception]:
        """The id in a line, if it has one, and its item, or why it is none."""
        if len(line) > self.max_bytes:
            limit = size_text(self.max_bytes)
            return None, ProblemError(TOO_LARGE, f"the line is larger than {limit}, the limit of a {self.what}")
        given_id = None
        try:
            check_json_tokens(line, self.max_tokens)
            found = read_json(line)
            given_id = found.get("id") if isinstance(found, dict) else None
            return given_id, validate(self.model, found)
        except Exception as exc:  # noqa: BLE001 - an unexpected error is logged and does not affect other lines
            return given_id if text_problem(given_id) is None else None, exc


@dataclass(frozen=True, slots=True)
class Line(Generic[ItemT]):
    """A line by its number, with the caller's id. Without an item and a problem, it is blank."""

    number: int
    given_id: str | None = None
    item: ItemT | None = None
    problem: Exception | None = None


class LinesAnswerer(ABC, Generic[ModelT, ItemT, ResultT]):
    """Carries out the lines of an NDJSON body and answers each line with a line, in order.

    Each answer has the number of its line and the caller's id; that of a blank line has only the number. An invalid
    line is answered with a problem and does not affect the others. An error that concerns all lines ends the request.
    """

    def __init__(self, line_format: LineFormat[ModelT], in_flight: int) -> None:
        """`in_flight`: how many commands may be under way at once; bounded, to bound the memory."""
        self._format = line_format
        self._in_flight = in_flight
        #: Whether a line may succeed when the request is sent again.
        self.has_temporary_problem = False
        self._turn_began_s = time.perf_counter()

    @abstractmethod
    async def prepare(self, number: int, model: ModelT) -> ItemT:
        """The item to carry out for a line. An error becomes the line's problem."""

    @abstractmethod
    async def carry_out(self, items: list[ItemT]) -> Sequence[ResultT]:
        """Carries out some lines. One result per item, in order. An error ends the request."""

    @abstractmethod
    async def answer_of(self, item: ItemT, result: ResultT) -> bytes:
        """The answer to a line, a JSON object. An error becomes the line's problem."""

    async def answer(self, lines: Sequence[bytes]) -> bytes:
        """Carries out the lines and returns the lines of the response.

        Raises:
            FeedbackLoopsError: not everything was carried out.
        """
        answers: list[bytes] = []
        numbered = iter(enumerate(lines, 1))
        under_way: list[asyncio.Task[list[bytes]]] = []
        try:
            while chunk := list(islice(numbered, CHUNK)):
                # The next command is prepared while one is under way.
                prepared = [await self._prepared(number, line) for number, line in chunk]
                if len(under_way) == self._in_flight:
                    answers += await under_way.pop(0)
                under_way.append(asyncio.create_task(self._chunk_answers(prepared)))
            while under_way:
                answers += await under_way.pop(0)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        return b"\n".join([*answers, b""])

    async def _prepared(self, number: int, line: bytes) -> Line[ItemT]:
        await self._give_way()
        if not line.strip():
            return Line(number)
        given_id, model = await run_in_thread_if_long(len(line), self._format.read, line)
        if isinstance(model, Exception):
            return Line(number, given_id, problem=model)
        try:
            item = await self.prepare(number, model)
        except Exception as exc:  # noqa: BLE001 - as above
            return Line(number, given_id, problem=exc)
        return Line(number, given_id, item)

    async def _chunk_answers(self, lines: list[Line[ItemT]]) -> list[bytes]:
        items = [line.item for line in lines if line.item is not None]
        results = iter(await self.carry_out(items) if items else ())
        return [await self._answer(line, results) for line in lines]

    async def _answer(self, line: Line[ItemT], results: Iterator[ResultT]) -> bytes:
        if line.item is None:
            return self._problem_line(line, line.problem) if line.problem is not None else _numbered(line, b"{}")
        await self._give_way()
        result = next(results)
        try:
            return _numbered(line, await self.answer_of(line.item, result))
        except Exception as exc:  # noqa: BLE001 - as above
            return self._problem_line(line, exc)

    async def _give_way(self) -> None:
        if time.perf_counter() - self._turn_began_s > _TURN_S:
            await asyncio.sleep(0)
            self._turn_began_s = time.perf_counter()

    def _problem_line(self, line: Line[ItemT], error: Exception) -> bytes:
        given = {} if line.given_id is None else {"id": line.given_id}
        problem = problem_of(error, is_known=True)
        self.has_temporary_problem |= problem.kind.frees_key
        return _numbered(line, msgspec.json.encode(given | problem.document()))


def _numbered(line: Line[Any], answer: bytes) -> bytes:
    """The answer, a JSON object, with the line's number as its first member."""
    return b'{"line":%d%b%b' % (line.number, b"" if answer == b"{}" else b",", answer[1:])
