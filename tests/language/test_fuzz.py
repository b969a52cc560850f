"""Mutants of valid specs: each is accepted or refused with a SpecError, and at once.

GATEWRIGHT_FUZZ_SECONDS lengthens the search; the seed is fixed, so a longer one goes further.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable

import pytest

from gatewright.language.catalogue import names, read_spec
from gatewright.language.diagnostics import SpecError
from gatewright.language.format import format_spec, write_spec
from gatewright.language.reader import read_spec_text
from gatewright.language.resolve import resolve
from gatewright.language.source_text import decode

from ..effort import effort
from .corpus import BASE
from .test_format import UNTIDY

SECONDS = float(os.environ.get("GATEWRIGHT_FUZZ_SECONDS", "12"))
PIECES = [
    *"()[]{}:#,'\"|>&*!%@`-+/^ \n\t~?=_.0",
    *("⊙", "σ", "α", "\u202e", "\u200b", "\x85", "\0", "²", "é", "\U0001d6d4", "\r\n"),
    *(": ", " #", "- ", "? ", "<<: ", "---\n", "...\n", "%YAML 1.1\n", "\n  ", "\n\n", "&a ", "*a"),
    *("1e999", "9**9", "!!python/object:os.system", "extends: gru\n", "{{ 7*7 }}", '"""'),
    *("../../x", "h'", "c'", "hidden", "[]", "tanh(", "max(h, x)", "null", "lambda", "\\u202e"),
]
TOKEN = re.compile(r"\w+'?|\s+|.")


def _seeds() -> list[str]:
    return [BASE, UNTIDY, *(read_spec(name).source for name in names())]


def _bytes(text: str, random_: random.Random) -> bytes:
    data = bytearray(text.encode())
    for _ in range(random_.randint(1, 4)):
        at = random_.randrange(len(data))
        change = random_.randrange(4)
        if change == 0:
            data[at] = random_.randrange(256)
        elif change == 1:
            del data[at : at + random_.randint(1, 12)]
        elif change == 2:
            data[at:at] = random_.choice(PIECES).encode()
        else:
            data[at:at] = bytes(random_.randrange(256) for _ in range(2))
        data = data or bytearray(b"\n")
    return bytes(data)


def _tokens(text: str, random_: random.Random) -> bytes:
    tokens = TOKEN.findall(text) or [""]
    for _ in range(random_.randint(1, 4)):
        at, other = random_.randrange(len(tokens)), random_.randrange(len(tokens))
        change = random_.randrange(4)
        if change == 0:
            tokens[at], tokens[other] = tokens[other], tokens[at]
        elif change == 1:
            tokens[at] = tokens[other]
        elif change == 2:
            tokens[at] += random_.choice(PIECES)
        else:
            tokens[at] = tokens[at] * random_.choice([0, 2, 50])
    return "".join(tokens).encode("utf-8", "surrogatepass")


def _lines(text: str, random_: random.Random) -> bytes:
    lines = text.split("\n")
    for _ in range(random_.randint(1, 3)):
        at, other = random_.randrange(len(lines)), random_.randrange(len(lines))
        lines[at] = random_.choice(["", lines[other], lines[at] + lines[other], "  " + lines[at]])
    return "\n".join(lines).encode()


def _try(data: bytes) -> bool:
    try:
        text = decode(data, "mutant.yaml")
        cell = resolve(read_spec_text(text, "mutant.yaml"))
    except SpecError as error:
        assert error.diagnostics
        assert str(error)
        assert len(error.diagnostics) <= 20
        return False
    tidy = format_spec(text)
    assert resolve(read_spec_text(tidy)) == cell
    assert format_spec(tidy) == tidy
    assert resolve(read_spec_text(write_spec(cell))).equations == cell.equations
    return True


@pytest.mark.parametrize("mutate", [_bytes, _tokens, _lines])
def test_mutants_are_accepted_or_refused(mutate: Callable[[str, random.Random], bytes]) -> None:
    random_ = random.Random(7)
    seeds = _seeds()
    end = time.perf_counter() + SECONDS / 3
    accepted = total = 0
    while time.perf_counter() < end:
        data = mutate(random_.choice(seeds), random_)
        try:
            with effort(3_000_000):
                accepted += _try(data)
        except Exception as problem:
            raise AssertionError(f"{type(problem).__name__} {problem} for {data!r}") from problem
        total += 1
    assert total > 10
    assert 0 < accepted < total
