"""A limit on what a piece of code may do, counted in calls: a busy machine changes no count."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def effort(calls: int) -> Iterator[None]:
    """Fail when the block calls more than `calls` functions, of Python or built in.

    It is stopped in the call after the last allowed one, so that a loop without end fails too.
    """
    made = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal made
        if event in ("call", "c_call"):
            made += 1
            if made > calls:
                raise AssertionError(f"more than {calls:,} calls")

    earlier = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(earlier)
