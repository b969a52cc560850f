"""The threads of a run -> processors: each takes one that no other thread of the run is on.

An operating system likes to wake a thread on the processor of the one that woke it, which is about
to wait, it thinks. Ours is not: two threads that share a processor take turns at every barrier of
every step, while other processors idle. A worker moves only where two have met, and the caller
stays where it is only while the run lasts: a thread that was given a processor for good would stay
on it when another program wants that one.

Sets of processors are rows of a team's numbers, a bit each: those taken by the run, those allowed,
and for every thread one that it moves to.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewright.runtime.cpu.compiled import device
from gatewright.runtime.cpu.native import allow, allowed, processor, read, set_bits
from gatewright.runtime.cpu.parts import LINE

# Where a team's numbers say that the rows begin, and how long a row is.
BEGIN, ROW = 1, LINE
_BYTES = 8 * ROW


@device
def _taken(team: Any) -> int:
    """Return where the row of the processors begins that are taken."""
    return team[BEGIN]  # type: ignore[no-any-return]


@device
def _allowed(team: Any) -> int:
    """Return where the row of the processors begins that are allowed."""
    return team[BEGIN] + ROW  # type: ignore[no-any-return]


@device
def _mask(team: Any, index: int) -> int:
    """Return where the row of a thread's set of processors begins."""
    return team[BEGIN] + (2 + 2 * index) * ROW  # type: ignore[no-any-return]


@device
def _free(team: Any, word: int) -> int:
    """Return the processors of a word of bits that are allowed and not taken."""
    return team[_allowed(team) + word] & ~read(team, _taken(team) + word)  # type: ignore[no-any-return]


@device
def _take(team: Any) -> bool:
    """Take the processor that the calling thread is on; return whether it was free."""
    place = processor()
    bit = np.int64(1) << np.int64(place % 64)
    return not set_bits(team, _taken(team) + place // 64, bit) & bit


@device
def sit_first(team: Any) -> None:
    """Give the calling thread of a run its processor, before all others."""
    for word in range(ROW):
        team[_taken(team) + word] = team[_allowed(team) + word] = 0
    if allowed(team, _allowed(team), _BYTES) >= 0:
        place, mask = processor(), _mask(team, 0)
        for word in range(ROW):
            team[mask + word] = 0
        team[mask + place // 64] = np.int64(1) << np.int64(place % 64)
        allow(team, mask, _BYTES)
        _take(team)


@device
def sit(team: Any, index: int) -> None:
    """Give a worker a processor that no other thread of the run is on, if there is one."""
    if not _take(team):
        mask, found = _mask(team, index), 0
        for word in range(ROW):
            team[mask + word] = _free(team, word)
            found |= team[mask + word]
        if found:
            allow(team, mask, _BYTES)
            _take(team)


@device
def leave(team: Any) -> None:
    """Let the calling thread of a run go where it may go."""
    allow(team, _allowed(team), _BYTES)
