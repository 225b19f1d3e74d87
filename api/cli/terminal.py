"""Standard streams of a command, and its last line of defence: whatever ends it early is one sentence."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

OK: Final = 0
FAILED: Final = 1
MISUSED: Final = 2
INTERRUPTED: Final = 130

#: The file name that means standard input.
STDIN: Final = Path("-")
#: The name of our error handler of encodings.
_ESCAPE: Final = "feedback-loops-escape"


def prepare_streams() -> None:
    """Makes the standard streams usable, whatever the shell and the locale made of them.

    A closed stream is replaced by the null device; otherwise the next file or socket would get its number. A character
    that the terminal's character set lacks is shown as an escape.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - for the whole life
    codecs.register_error(_ESCAPE, _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPE)


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Replaces characters by the escapes of JSON, in pairs of surrogates if necessary, so that JSON stays JSON."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)), error.end


def read_stdin() -> str:
    """All of standard input, which must be UTF-8 whatever the locale says; line ends stay as they are."""
    raw = getattr(sys.stdin, "buffer", None)
    return sys.stdin.read() if raw is None else str(raw.read().decode())


def read_bytes(file: Path) -> bytes:
    """The content of a file, or of standard input if it is `-`."""
    return sys.stdin.buffer.read() if file == STDIN else file.read_bytes()


def is_unicode(stream: object) -> bool:
    """Whether the stream can show every character."""
    return str(getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")


def unreadable_argument(arguments: Sequence[str]) -> str | None:
    """Problem of the first argument that is not text, or None."""
    for number, argument in enumerate(arguments, 1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            return f"argument {number} is not text in the terminal's character set: {argument!a}"
    return None


def guarded(program: str, run: Callable[[], int]) -> int:
    """Runs a command and returns its exit status, however it ends."""
    try:
        code = _code_of(run)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has had enough
        _discard_output()
        return OK
    except Exception as exc:
        if sys.flags.dev_mode:
            raise
        _discard_output()
        with contextlib.suppress(OSError):
            sys.stderr.write(f"{program}: {sentence(exc)}\n")
        return FAILED
    return code


def _code_of(run: Callable[[], int]) -> int:
    try:
        return run()
    except SystemExit as exc:  # from argparse
        return exc.code if isinstance(exc.code, int) else OK if exc.code is None else FAILED


def sentence(error: Exception) -> str:
    """The error in one sentence."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        return f"{where}{error.strerror}"
    if isinstance(error, EOFError):
        return "standard input ended before it was answered"
    if isinstance(error, UnicodeError):
        return f"a text is not valid: {error}"
    text = " ".join(str(error).split())
    return f"unexpected error: {type(error).__name__}: {text}; PYTHONDEVMODE=1 shows where it happened"


def _discard_output() -> None:
    """Drops what is still to be written: at the end, Python would try again and complain."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
