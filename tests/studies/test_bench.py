"""The benchmark end to end on tiny sizes: real peers, JSON as promised, seeded faults refused."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import platform
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gatewright.cli.app import run
from gatewright.runtime import cpu
from gatewright.runtime.errors import BackendMissingError
from gatewright.studies import bench as study
from gatewright.studies import ours, process
from gatewright.studies.jobs import GRIDS, TASKS, Job, Size, Subject, forward_operations, jobs
from gatewright.studies.problem import Candidate, Outcome, Problem, draw
from gatewright.studies.report import Comparison, Peak, Report, Row
from gatewright.studies.result_file import file_text, read_report
from tests.studies.reports import SCHEMA

Capture = pytest.CaptureFixture[str]
TINY = Size(B=2, H=5, T=3)
installed = [
    name
    for name, (modules, _) in study.PEERS.items()
    if all(importlib.util.find_spec(module) for module in modules)
]


@pytest.fixture(scope="module")
def report() -> Report:
    """Measure two cells, both tasks, with every peer that is installed."""
    wanted = jobs([Subject("lstm"), Subject("gru")], TASKS, [1], [TINY])
    return study.bench(*study.begin(list(wanted), installed, 0.01), installed, 0.01)


def test_a_tiny_run_compares_with_every_installed_peer(report: Report) -> None:
    assert len(report.rows) == 4
    found = {(row.cell, row.task): [each.peer for each in row.peers] for row in report.rows}
    for (cell, task), peers in found.items():
        assert ("torch loop" in peers) == ("torch" in installed)
        assert ("torch.nn" in peers) == ("torch" in installed and cell == "lstm")
        assert ("jax scan" in peers) == ("jax" in installed)
        assert ("onnxruntime" in peers) == ("onnxruntime" in installed and task == "inference")
    assert not report.disagreements
    for row in report.rows:
        assert row.repetitions >= 5
        for each in row.peers:
            assert each.agrees
            assert each.repetitions >= 5
            assert each.ratio == pytest.approx(
                (each.us_per_step or 0.0) / row.us_per_step, rel=2e-3
            )


def test_a_report_is_the_json_it_promises_and_reads_back(report: Report) -> None:
    jsonschema.validate(json.loads(file_text(report)), SCHEMA)
    assert read_report(file_text(report)) == report
    assert [peak.threads for peak in report.peaks] == [1]


def test_a_report_names_no_host_user_or_path(report: Report) -> None:
    text = file_text(report)
    assert platform.node() not in re.findall(r"[\w.-]+", text)
    assert str(Path.home()) not in text
    assert str(Path(__file__).parent) not in text


# ------------------------------------------------------------------------------- seeded faults


def problem_of(cell: str) -> Problem:
    return draw(Subject(cell).load(), TINY)


def faulty(own: Candidate, name: str, which: str, factor: float) -> Candidate:
    """Return a peer that is ours but for one array."""

    def read(found: Any) -> Outcome:
        outcome = own.read(found)
        if which == "y":
            return Outcome(outcome.y * factor, outcome.gradients)
        changed = {which: outcome.gradients[which] * factor}
        return Outcome(outcome.y, outcome.gradients | changed)

    return Candidate(name, own.run, read)


@pytest.mark.parametrize("which", ["y", "U_f", "x", "c", "b_o"])
@pytest.mark.parametrize("factor", [1.01, float("nan")])
def test_a_peer_that_computes_something_else_has_no_ratio(which: str, factor: float) -> None:
    job = Job(Subject("lstm"), "training", 1, TINY)
    own = ours.candidate(job.subject, problem_of("lstm"), "training", 1)
    right, wrong = faulty(own, "right", which, 1.0), faulty(own, "wrong", which, factor)
    row = process.compare(job, own, [wrong, right], 0.0)
    refused, accepted = row.peers
    assert (refused.agrees, refused.ratio, refused.us_per_step) == (False, None, None)
    assert refused.where == ("y" if which == "y" else f"gradient of {which}")
    assert accepted.agrees
    assert accepted.ratio
    report = Report({}, {}, (), (), (row,))
    assert [mean.peer for mean in report.means()] == ["right"]
    (sentence,) = report.disagreements
    assert "wrong disagrees on lstm, training, B=2 H=5 T=3" in sentence


def test_a_peer_without_a_gradient_has_no_ratio() -> None:
    job = Job(Subject("lstm"), "training", 1, TINY)
    own = ours.candidate(job.subject, problem_of("lstm"), "training", 1)

    def read(found: Any) -> Outcome:
        outcome = own.read(found)
        rest = {name: array for name, array in outcome.gradients.items() if name != "U_i"}
        return Outcome(outcome.y, rest)

    (refused,) = process.compare(job, own, [Candidate("less", own.run, read)], 0.0).peers
    assert (refused.agrees, refused.where) == (False, "gradients of U_i")


def test_a_peak_is_measured_again_while_others_are_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    speeds, busy = [1e9, 3e9, 2e9, 9e9], [90.0, 6.0, 5.0, 0.0]

    class Watched:
        def others_percent(self) -> float:
            return busy.pop(0)

    monkeypatch.setattr(process, "Watch", Watched)
    monkeypatch.setattr(cpu, "peak", lambda dtype, threads: speeds.pop(0))
    assert process.peak.__wrapped__(3).gflops == 3.0
    assert len(speeds) == 1


@pytest.mark.parametrize(("part", "disturbed"), [(0.95, False), (0.5, True)])
def test_a_point_at_which_the_machine_was_slower_than_its_peak_is_disturbed(
    part: float, disturbed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Quiet:
        def others_percent(self) -> float:
            return 0.5

    class Product:
        def speed(self) -> float:
            return 8e9 * part

    monkeypatch.setattr(process, "Watch", Quiet)
    monkeypatch.setattr(process, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(process, "_product", lambda threads: Product())
    monkeypatch.setattr(process, "peak", lambda threads: Peak(threads, 8.0, "a test"))
    row = process.measure(Job(Subject("lstm"), "inference", 1, TINY), (), 0.0)
    assert row.disturbed == disturbed
    assert row.others_percent == (50.0 if disturbed else 0.5)


# --------------------------------------------------------------------------- the command line


@pytest.mark.skipif("torch" not in installed, reason="the peer is torch")
def test_the_command_prints_writes_and_draws(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GRIDS, "small", (TINY,))
    file, plot = tmp_path / "found.json", tmp_path / "found.svg"
    measured = ["bench", "elman", "--peers", "torch", "--threads", "1", "--seconds", "0"]
    settings = ["--set", "activation=relu", "--output", str(file), "--plot", str(plot)]
    assert run([*measured, *settings]) == 0
    shown = capsys.readouterr()
    assert "elman_relu" in shown.out
    assert "Geometric means" in shown.out
    assert shown.err == ""
    jsonschema.validate(json.loads(file.read_text()), SCHEMA)
    ElementTree.parse(plot)
    assert run(["bench", "--from", str(file)]) == 0
    assert capsys.readouterr().out == shown.out
    assert run(["bench", "--from", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(file.read_text())


def test_what_is_printed_of_targets_is_in_the_json_too(
    tmp_path: Path, capsys: Capture, report: Report
) -> None:
    file = tmp_path / "found.json"
    file.write_text(file_text(report))
    assert run(["bench", "--from", str(file), "--targets"]) == 0
    assert "percent of the peak" in capsys.readouterr().out
    assert run(["bench", "--from", str(file), "--targets", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["targets"]
    # Whatever was measured, one tiny size says nothing about the full grid.
    assert {each["verdict"] for each in found} == {"open"}


def test_a_disagreement_is_exit_code_1(tmp_path: Path, capsys: Capture, report: Report) -> None:
    (row, *_) = report.rows
    own = faulty_row(row)
    file = tmp_path / "found.json"
    file.write_text(file_text(dataclasses.replace(report, rows=(own,))))
    assert run(["bench", "--from", str(file)]) == 1
    shown = capsys.readouterr()
    assert "disagrees" in shown.out
    assert "error: wrong disagrees on gru" in shown.err


def faulty_row(row: Row) -> Row:
    wrong = Comparison("wrong", False, None, "y", None, None, 0)
    return dataclasses.replace(row, peers=(wrong,))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["lstm", "--peers", "cntk"], "`cntk` is none of torch, jax, onnxruntime"),
        (["lstm", "--threads", "0"], "`0` is none of all, 1"),
        (["lstm", "--threads", "many"], "`many` is none of all, 1"),
        (["no_such_cell"], "no cell 'no_such_cell' in the catalogue"),
        (["lstm", "--output", "no/such/folder/x.json"], "there is no folder"),
        (["lstm", "--from", "/dev/null"], ""),
        (["lstm", "--resume"], "--output names"),
        (["lstm", "--resume", "--force", "--output", "x.json"], "give one"),
        (["lstm", "--explain", "--from", "README.md"], "leave out --from"),
        (["--from", "README.md"], "cannot read README.md: this is no JSON"),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured(
    arguments: list[str], sentence: str, capsys: Capture
) -> None:
    assert run(["bench", *arguments]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "bug" not in error


def test_a_peer_that_is_missing_is_skipped_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setitem(study.PEERS, "torch", (("no_such_module",), "gatewright[torch]"))
    found, notes = study.present()
    assert "torch" not in found
    (note,) = (each for each in notes if "with torch" in each)
    assert "pip install 'gatewright[torch]'" in note
    with pytest.raises(BackendMissingError):
        study.present(["torch"])
    assert run(["bench", "lstm", "--peers", "torch"]) == 3
    assert "pip install 'gatewright[torch]'" in capsys.readouterr().err


def test_operations_are_those_of_the_matrix_products() -> None:
    cell = Subject("lstm").load().cell
    size = Size(B=3, H=7, T=11)
    assert forward_operations(cell, size) == 2 * 11 * 3 * 4 * 7 * (7 + 7)
    assert Job(Subject("lstm"), "training", 1, size).operations(cell) == 3 * forward_operations(
        cell, size
    )
    diagonal = Subject("indrnn").load().cell
    assert forward_operations(diagonal, size) == 2 * 11 * 3 * 7 * 7


def test_the_grids_are_those_of_the_protocol() -> None:
    full = GRIDS["full"]
    assert {size.B for size in full} == {1, 16, 64, 128}
    assert {size.H for size in full} == {128, 256, 512, 1024}
    assert {(size.H == 1024, size.T) for size in full} == {(True, 50), (False, 128)}
    assert len(full) == 16
    assert {(size.B, size.H) for size in GRIDS["small"]} == {(1, 32), (1, 128), (16, 32), (16, 128)}


def test_asking_for_help_imports_no_library() -> None:
    code = "from gatewright.cli.app import run; run(['bench', '--help'])"
    probe = f"{code}\nimport sys; print('LOADED', *sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split("LOADED ")[1].split())
    assert not loaded & {"numpy", "numba", "torch", "jax", "onnx", "onnxruntime"}
