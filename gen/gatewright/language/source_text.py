"""File -> text: the bytes of a spec, checked before anything reads their meaning.

At most 256 KiB of a regular file, strict UTF-8, no character that an editor would not show.

Why before YAML: PyYAML breaks lines at U+0085 and U+2028 where editors do not, and a bidirectional
override makes a spec read differently from what it does.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from pathlib import Path

from gatewright.language.diagnostics import Diagnostic, Span, SpecError, is_hidden

MAX_BYTES = 256 * 1024
HIDDEN_HELP = "delete it; hidden characters can make a spec read differently from what it does"


def read_text(path: str | Path, file: str = "") -> str:
    """Return the text of a spec file, with `\\n` line ends; `file` is its name in messages.

    The size is looked up before a byte is read, and nothing that is not a regular file is opened
    for longer than it takes to see that.
    """
    file = file or str(path)
    # Opening a FIFO for reading waits for a writer unless it is non-blocking.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(path, flags)
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        help = "check the path; `gatewright list` names the cells of the catalogue"
        raise _refused("E0004", f"cannot read {file!r}: {reason}", help) from None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            what = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise _refused("E0005", f"{file!r} is {what}", "name a `.yaml` file")
        _check_size(status.st_size)
        with os.fdopen(os.dup(handle), "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as problem:
        raise _refused("E0004", f"cannot read {file!r}: {problem.strerror}") from None
    finally:
        os.close(handle)
    return decode(data, file)


def decode(data: bytes, file: str) -> str:
    """Return checked text from the bytes of a spec."""
    _check_size(len(data))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as problem:
        byte = data[problem.start]
        message = f"not valid UTF-8 at byte {problem.start} (0x{byte:02x})"
        raise _refused("E0002", message, "save the file as UTF-8") from None
    return check_text(text, file)


def check_text(text: str, file: str) -> str:
    """Return text with `\\n` line ends and no mark; raise SpecError for each hidden character."""
    _check_size(len(text.encode("utf-8", "surrogatepass")))
    text = text.removeprefix("\N{BYTE ORDER MARK}").replace("\r\n", "\n")
    if not any(map(is_hidden, text)):
        return text
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        for column, character in enumerate(line, start=1):
            if is_hidden(character):
                span = Span(file, number, column, number, column + 1)
                found.append(hidden_character(character, span))
    raise SpecError(found, {file: text})


def hidden_character(character: str, span: Span) -> Diagnostic:
    """Return what to say of an invisible or control character."""
    name = unicodedata.name(character, "control")
    message = f"invisible or control character U+{ord(character):04X} ({name})"
    return Diagnostic("E0003", message, span, HIDDEN_HELP)


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        message = f"file is {size} bytes; the limit is {MAX_BYTES}"
        raise _refused("E0001", message, "a cell is a few equations; keep data out of its spec")


def _refused(code: str, message: str, help: str = "") -> SpecError:
    return SpecError([Diagnostic(code, message, None, help)])
