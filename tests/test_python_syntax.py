"""Parsing Python text from several threads at once, and beside a library that does so itself."""

from __future__ import annotations

import ast
import gc
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from gatewright.python_syntax import parsed

TEXT = "\n".join(f"x{n} = [{n}, (a + {n}) * f(b, c[{n}])]" for n in range(400))
EXPECTED = ast.dump(ast.parse(TEXT))


@pytest.fixture(autouse=True)
def many_switches() -> Iterator[None]:
    """Collect garbage and change threads as often as possible: each can interrupt a parse."""
    threshold, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(10)
    sys.setswitchinterval(1e-6)
    yield
    gc.set_threshold(*threshold)
    sys.setswitchinterval(interval)


class Circle:
    """Garbage that takes a collection to be found, and then runs Python, where threads change."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        for _ in range(50):
            pass


def outcomes(parse: Callable[[str], ast.Module]) -> list[str]:
    found = []
    for _ in range(40):
        Circle()
        try:
            found.append(ast.dump(parse(TEXT)))
        except SystemError:
            found.append("SystemError")
    return found


def test_threads_that_parse_at_once_all_get_their_tree() -> None:
    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(outcomes, parsed) for _ in range(4)]:
            assert set(each.result()) == {EXPECTED}


def test_a_library_that_parses_in_another_thread_does_not_spoil_ours() -> None:
    with ThreadPoolExecutor(2) as pool:
        foreign = pool.submit(outcomes, ast.parse)
        assert set(pool.submit(outcomes, parsed).result()) == {EXPECTED}
        foreign.result()


def test_what_is_no_python_is_said_at_once() -> None:
    with pytest.raises(SyntaxError):
        parsed("x = (")
