"""A run may end at any point: nothing is lost, nothing overwritten, nothing mixed."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gatewright import runtime
from gatewright.cli.app import run
from gatewright.studies import bench as study
from gatewright.studies import jobs, machine, process
from gatewright.studies.jobs import Job
from gatewright.studies.report import Peak, Row
from gatewright.studies.result_file import file_text, read_report
from tests.studies.reports import row as made_up

Capture = pytest.CaptureFixture[str]


def pretended(job: Job, peers: Any, seconds: float) -> Row:
    found = made_up(job.subject.load().cell.identifier, job.task, job.threads, torch=2.0)
    size = job.size
    return dataclasses.replace(found, kernels=job.subject.digest(), B=size.B, H=size.H, T=size.T)


class InThisProcess:
    """A pool that calls at once, and fails before the point whose number is given."""

    measured: ClassVar[list[Job]] = []
    fails: ClassVar[dict[int, BaseException]] = {}
    gflops: ClassVar[float] = 100.0

    def __init__(self, *given: Any) -> None:
        pass

    def __enter__(self) -> InThisProcess:
        return self

    def __exit__(self, *given: Any) -> None:
        pass

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if function is process.peak:
            future.set_result(Peak(arguments[0], self.gflops, "tiles"))
            return future
        if error := self.fails.pop(len(self.measured), None):
            raise error
        self.measured.append(arguments[0])
        future.set_result(pretended(*arguments))
        return future


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> type[InThisProcess]:
    """Let nothing be measured: every point is a made-up one, at once."""
    monkeypatch.setattr(study, "ProcessPoolExecutor", InThisProcess)
    monkeypatch.setattr(InThisProcess, "measured", [])
    monkeypatch.setattr(InThisProcess, "fails", {})
    return InThisProcess


ONE = ["bench", "lstm", "--threads", "1"]


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (KeyboardInterrupt(), 130, "stopped; what was measured is in"),
        (BrokenProcessPool("killed"), 2, "the process that measures was ended"),
    ],
)
def test_a_run_that_is_cut_off_is_continued(
    tmp_path: Path,
    capsys: Capture,
    pool: type[InThisProcess],
    error: BaseException,
    code: int,
    sentence: str,
) -> None:
    file = tmp_path / "found.json"
    pool.fails[3] = error
    assert run([*ONE, "--output", str(file)]) == code
    assert sentence in capsys.readouterr().err
    assert len(read_report(file.read_text()).rows) == 3
    assert run([*ONE, "--output", str(file), "--resume"]) == 0
    assert len(set(pool.measured)) == len(pool.measured) == 8
    whole = file.read_text()
    assert len(read_report(whole).rows) == 8
    assert run([*ONE, "--output", str(file), "--resume"]) == 0
    assert len(pool.measured) == 8
    assert file.read_text() == whole
    assert [each.name for each in tmp_path.iterdir()] == ["found.json"]


def test_a_file_that_exists_is_not_overwritten_by_accident(
    tmp_path: Path, capsys: Capture, pool: type[InThisProcess]
) -> None:
    file = tmp_path / "found.json"
    file.write_text("precious")
    assert run([*ONE, "--output", str(file)]) == 2
    assert "--resume continues it, --force begins it anew" in capsys.readouterr().err
    assert run([*ONE, "--output", str(file), "--resume"]) == 2
    assert "cannot read" in capsys.readouterr().err
    assert file.read_text() == "precious"
    assert pool.measured == []
    assert run([*ONE, "--output", str(file), "--force"]) == 0
    assert len(read_report(file.read_text()).rows) == 8


def test_points_that_were_disturbed_are_measured_again(
    tmp_path: Path, pool: type[InThisProcess]
) -> None:
    file = tmp_path / "found.json"
    assert run([*ONE, "--output", str(file), "--resume"]) == 0
    first, *rest = read_report(file.read_text()).rows
    busy = dataclasses.replace(first, others_percent=50.0)
    found = read_report(file.read_text())
    file.write_text(file_text(dataclasses.replace(found, rows=(busy, *rest))))
    pool.measured.clear()
    assert run([*ONE, "--output", str(file), "--resume"]) == 0
    assert [job.key for job in pool.measured] == [first.key]
    assert read_report(file.read_text()).rows == (first, *rest)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("machine", {"cpu": "another"}, "the machines differ: cpu is another in one"),
        ("machine", {"versions": {"python": "2.7"}}, "the machines differ: version of"),
        ("protocol", {"seconds_per_candidate": 9.0}, "seconds_per_candidate is 9.0 in one"),
        ("peaks", (Peak(1, 150.0, "tiles"),), "the machine was not equally fast"),
    ],
)
def test_a_file_from_elsewhere_is_not_continued(
    tmp_path: Path,
    capsys: Capture,
    pool: type[InThisProcess],
    field: str,
    value: Any,
    sentence: str,
) -> None:
    file = tmp_path / "found.json"
    pool.fails[1] = KeyboardInterrupt()
    assert run([*ONE, "--output", str(file)]) == 130
    found = read_report(file.read_text())
    changed: Any = value if field == "peaks" else {**getattr(found, field), **value}
    fields: dict[str, Any] = {field: changed}
    file.write_text(file_text(dataclasses.replace(found, **fields)))
    before = file.read_text()
    capsys.readouterr()
    assert run([*ONE, "--output", str(file), "--resume"]) == 2
    shown = capsys.readouterr().err
    assert f"cannot continue {file}" in shown
    assert sentence in shown
    assert file.read_text() == before
    assert len(pool.measured) == 1


def test_a_cell_that_was_changed_is_not_continued(
    tmp_path: Path, capsys: Capture, pool: type[InThisProcess]
) -> None:
    spec, file = tmp_path / "mine.yaml", tmp_path / "found.json"
    text = (Path(__file__).parents[2] / "specs" / "elman.yaml").read_text()
    spec.write_text(text.replace("cell: elman", "cell: mine"))
    wanted = ["bench", str(spec), "--threads", "1", "--output", str(file), "--resume"]
    assert run(wanted) == 0
    spec.write_text(spec.read_text().replace("h': activation(", "h': 0.5 * activation("))
    # The same process would remember the cell it has read.
    for known in (jobs._load, jobs._digest):
        known.cache_clear()
    capsys.readouterr()
    assert run(wanted) == 2
    assert "the equations or the generated file of mine" in capsys.readouterr().err


def test_results_of_several_runs_are_shown_as_one(
    tmp_path: Path, capsys: Capture, pool: type[InThisProcess]
) -> None:
    one, other, both = (tmp_path / name for name in ("a.json", "b.json", "both.json"))
    assert run([*ONE, "--output", str(one)]) == 0
    assert run(["bench", "gru", "--threads", "1", "--output", str(other)]) == 0
    merged = ["bench", "--from", str(one), "--from", str(other)]
    assert run([*merged, "--output", str(both)]) == 0
    cells = {each.cell for each in read_report(both.read_text()).rows}
    assert cells == {"lstm", "gru"}
    capsys.readouterr()
    assert run(["bench", "gru", "--task", "training", "--from", str(both), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [(each["cell"], each["task"]) for each in content["groups"]] == [("gru", "training")]
    found = read_report(other.read_text())
    elsewhere = dataclasses.replace(found, machine={**found.machine, "cores": 99})
    other.write_text(file_text(elsewhere))
    assert run(merged) == 2
    assert "does not belong to" in capsys.readouterr().err
    assert run(["bench", "janet", "--from", str(one)]) == 2
    assert "no point of janet was measured" in capsys.readouterr().err


def test_the_digest_of_the_runtime_is_of_code_and_not_of_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu").mkdir()
    place, kernel = tmp_path / "__init__.py", tmp_path / "cpu" / "kernel.py"
    place.write_text('"""Words."""\n')
    monkeypatch.setattr(runtime, "__file__", str(place))

    def digest(text: str) -> str:
        kernel.write_text(text)
        return machine.runtime_digest()

    first = digest('"""Words."""\ndef f(x):\n    """More."""\n    return x + 1\n')
    assert digest('"""Other words."""\ndef f(x):\n    # a remark\n    return x + 1\n') == first
    assert digest("def f(x):\n    return x + 2\n") != first
