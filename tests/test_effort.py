from __future__ import annotations

import sys

import pytest

from .effort import effort


def test_calls_within_the_limit_pass_and_one_more_fails() -> None:
    with effort(100):
        for _ in range(90):
            len("")
    with pytest.raises(AssertionError, match="more than 100 calls"), effort(100):
        for _ in range(101):
            len("")


def test_a_loop_without_end_is_stopped() -> None:
    with pytest.raises(AssertionError), effort(1_000):
        while True:
            abs(1)


def test_the_profile_function_of_before_is_put_back() -> None:
    before = sys.getprofile()
    with effort(100):
        pass
    assert sys.getprofile() is before
