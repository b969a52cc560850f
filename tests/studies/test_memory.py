"""Memory: what kernels say they keep is what their runs hold, and what a process grows by."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from gatewright.cli.app import run
from gatewright.loaded import load
from gatewright.runtime.errors import BackendMissingError
from gatewright.studies import memory
from gatewright.studies.jobs import Size, Subject
from gatewright.studies.problem import draw

Capture = pytest.CaptureFixture[str]
LINUX = pytest.mark.skipif(not memory.FORGET.exists(), reason="memory is counted by Linux alone")


@pytest.mark.parametrize("name", ["lstm", "gru", "elman"])
def test_what_is_stated_is_what_a_run_holds(name: str) -> None:
    loaded, size = load(name), Size(3, 40, 12)
    problem = draw(loaded, size)
    kernels = loaded.compile(target="reference", dtype="float32")
    run = kernels.forward(problem.parameters, problem.inputs["x"], problem.state)
    assert run.kept is not None
    held = {n: array.nbytes for n, array in run.kept.items() if n not in problem.inputs}
    sizes = {"T": 12, "B": 3, "input": 40, "hidden": 40}
    assert kernels.kept_bytes(sizes) == sum(held.values())
    pieces = kernels.forward(problem.parameters, problem.inputs["x"], problem.state, checkpoint=5)
    assert pieces.pieces is not None
    starts = sum(array.nbytes for start in pieces.pieces.starts for array in start.values())
    assert kernels.kept_bytes(sizes, checkpoint=5) == pieces.y.nbytes + starts


@LINUX
def test_a_process_grows_by_what_is_kept_and_checkpoints_make_it_less() -> None:
    size = Size(64, 64, 512)
    whole, pieces = memory.footprints([Subject("lstm")], [size], with_torch=False)
    assert (whole.library, pieces.library) == (memory.OURS, memory.PIECES)
    assert whole.stated is not None and pieces.stated is not None
    # Five values of a step, two states; the gradients of inputs and parameters are on top.
    assert whole.stated == 4 * 64 * 64 * (5 * 512 + 2 * 513)
    assert whole.stated < whole.bytes < 2 * whole.stated
    assert pieces.bytes < 0.6 * whole.bytes


@LINUX
@pytest.mark.skipif(find_spec("torch") is None, reason="the peer is torch")
def test_the_bytes_that_the_readme_states_are_those_of_a_process() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    stated = re.search(
        r"training step of (\d+) rows, (\d+) units and (\d+) steps takes (\d+) bytes of memory per "
        r"number of the output, (\d+) in `torch\.nn\.LSTM`",
        " ".join(readme.split()),
    )
    assert stated is not None
    B, H, T, ours, theirs = map(int, stated.groups())
    found = memory.footprints([Subject("lstm")], [Size(B, H, T)], with_torch=True)
    each = {footprint.library: footprint.per_number for footprint in found}
    assert each[memory.OURS] == pytest.approx(ours, rel=0.05)
    assert each[memory.TORCH] == pytest.approx(theirs, rel=0.05)


def test_another_system_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(memory, "FORGET", tmp_path / "missing")
    with pytest.raises(BackendMissingError, match="which only Linux has"):
        list(memory.footprints([Subject("lstm")], [Size(1, 2, 3)], with_torch=False))


@LINUX
def test_the_command_prints_a_table_or_json(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "SIZES", (Size(2, 8, 4),))
    assert run(["memory", "elman"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("cell ")
    assert lines[1].split()[:2] == ["elman", "gatewright"]
    assert run(["memory", "elman", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["footprints"]
    assert found[0]["stated"] == 4 * 2 * 8 * (4 + 1)
