"""Tasks in processes that hang, die or are no longer healthy, and those that were to follow."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from gatewright.studies.attended import at_once, attended


@dataclass(frozen=True)
class Deed:
    """Does what its name says; its row says so, and in which process."""

    name: str

    def run(self) -> Any:
        match self.name:
            case "hang":
                time.sleep(60)
            case "die":
                os._exit(7)
            case "raise":
                raise ValueError("wrong\nvery")
            case "ail":
                os.environ["AILING"] = "1"
        return self.name, "", os.getpid()

    def lost(self, verdict: str, why: str) -> Any:
        return self.name, f"{verdict}: {why}", 0


def healthy() -> bool:
    return "AILING" not in os.environ


def test_tasks_that_hang_or_die_do_not_take_the_others_with_them() -> None:
    names = ("one", "two", "raise", "three", "die", "four", "ail", "five", "hang", "six")
    rows = list(attended(map(Deed, names), healthy, 5.0))
    assert [name for name, _, _ in rows] == list(names)
    said = {name: why for name, why, _ in rows if why}
    assert said == {
        "raise": "fail: ValueError: wrong",
        "die": "fail: its process ended with exit code 7",
        "hang": "fail: no end after 5 seconds",
    }
    processes = {name: process for name, _, process in rows}
    assert processes["one"] == processes["two"] == processes["three"] != os.getpid()
    assert len({processes[name] for name in ("three", "four", "five", "six")}) == 4
    assert processes["four"] == processes["ail"]


def test_who_runs_at_the_deadline_has_not_failed() -> None:
    until = time.monotonic() + 3.0
    rows = list(attended(map(Deed, ("hang", "one")), healthy, 60.0, until))
    assert [why for _, why, _ in rows] == ["not run: there was no time left"] * 2


def test_nothing_is_begun_after_the_deadline() -> None:
    rows = list(attended(map(Deed, ("one", "two")), healthy, 5.0, until=time.monotonic() - 1.0))
    assert [why for _, why, _ in rows] == ["not run: there was no time left"] * 2
    rows = list(at_once(map(Deed, ("one", "two")), time.monotonic() - 1.0))
    assert [why for _, why, _ in rows] == ["not run: there was no time left"] * 2


def test_a_process_can_be_its_own() -> None:
    assert [process for _, _, process in at_once(map(Deed, ("one", "two")))] == [os.getpid()] * 2
