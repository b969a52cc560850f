"""The check of a GPU: all of its host code, with emulated kernels and a clock of ours."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from tests.cuda.test_cuda_launch import FakeLibrary
from tests.cuda.test_cuda_sequences import Recorder

from gatewright.cli.app import run
from gatewright.loaded import load
from gatewright.runtime.cuda import cubins, gpu, matrices
from gatewright.runtime.cuda.availability import CudaUnavailableError
from gatewright.runtime.cuda.compiler import why_not_compiled
from gatewright.runtime.cuda.devices import EmulatedDevice, Limits
from gatewright.runtime.cuda.libcuda import Driver
from gatewright.studies import cuda_check, cuda_layers, cuda_run, cuda_time
from gatewright.studies.cuda_check import MODES, Finding, Mode, Sizes, codes, found
from gatewright.studies.cuda_layers import layer_finding
from gatewright.studies.cuda_sanitizer import sanitized
from gatewright.studies.cuda_tasks import selected
from gatewright.studies.cuda_time import everybody, timing

SMALL = Sizes(2, 3, 32, 3)
TINY = EmulatedDevice(tensors=True, limits=Limits(4, 2, 2, 8, 64))
H100 = Limits(128, 32, 8, 132, 227 * 1024)
compiles = pytest.mark.skipif(bool(why_not_compiled()), reason=why_not_compiled() or "-")


def findings(
    name: str, sizes: Sizes, device: Any, graphs: Any = None, modes: Sequence[Mode] = MODES
) -> list[Finding]:
    return [found(load(name), sizes, mode, device, graphs) for mode in modes]


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWRIGHT_CUDA", "emulate")


@pytest.mark.parametrize("name", ["gru", "janet", "indrnn", "fast_grnn"])
def test_every_mode_of_a_cell_passes(name: str) -> None:
    device = EmulatedDevice(tensors=True)
    rows = findings(name, SMALL, device, Recorder())
    assert [each.mode for each in rows] == [mode.name for mode in MODES]
    assert {each.verdict for each in rows} == {"pass"}, rows
    for each in rows:
        assert each.error is not None
        assert set(each.plans) == {"forward", "backward"}


# What no cell of the catalogue has: two inputs, one of them read in the step itself; a function
# before the first product, whose inputs are fetched a step ahead; inputs as wide as the states.
OWN = {
    "added": ("W: [hidden, input]", "x: input, m: hidden", "tanh(W @ x + U @ h + m)"),
    "before": ("W: [hidden, input]", "x: input, m: hidden", "tanh(W @ x + U @ (m * h))"),
    "alone": ("b: [hidden]", "x: hidden, m: hidden", "tanh(U @ x + b * h) * m"),
}


def own_cell(name: str, folder: Path) -> str:
    """Write one of the cells above; return its path."""
    parameter, inputs, equation = OWN[name]
    path = folder / f"{name}.yaml"
    path.write_text(
        f"cell: {name}\ntitle: T\ninputs: {{{inputs}}}\nstates: {{h: hidden}}\nparameters:\n"
        f"  {parameter}\n  U: [hidden, hidden]\nequations:\n  h': {equation}\noutput: h'\n"
    )
    return str(path)


@pytest.mark.parametrize("name", OWN)
def test_every_mode_of_an_authors_own_cell_passes(name: str, tmp_path: Path) -> None:
    path = own_cell(name, tmp_path)
    for sizes in (Sizes(1, 1, 8, 3), Sizes(3, 3, 13, 5)):
        rows = findings(path, sizes, EmulatedDevice(tensors=True))
        assert {each.verdict for each in rows} == {"pass"}, rows


@pytest.mark.parametrize("name", ["added", "before"])
def test_a_layer_of_an_authors_own_cell_is_given_its_inputs_by_name(
    name: str, tmp_path: Path
) -> None:
    """As on a device, by the kernels of the CPU."""
    cell = load(own_cell(name, tmp_path))
    assert cuda_layers.LAYER in cuda_layers.ways(cell, emulated=False)
    row = layer_finding(cell, SMALL, cuda_layers.LAYER, "cpu")
    assert row.verdict == "pass", row


def test_a_cell_without_inputs_of_a_width_of_their_own_is_no_layer(tmp_path: Path) -> None:
    ways = cuda_layers.ways(load(own_cell("alone", tmp_path)), emulated=False)
    assert cuda_layers.LAYER not in ways
    assert len(ways) == len(cuda_layers.WAYS) - 1


def test_what_one_kernel_cannot_do_is_said() -> None:
    rows = findings("elman", Sizes(2, 2, 5, 3), TINY)
    assert [each.verdict for each in rows] == ["pass", "pass", *["tier 1"] * 4]
    reason = "1 matrices of 5 x 5 and what is multiplied with them, 2 rows, do not fit"
    assert reason in rows[2].plans["forward"]
    assert "8 multiprocessors with 64 bytes each" in rows[3].plans["backward"]


def test_a_wrong_kernel_and_one_that_does_not_run_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    own, device = load("gru"), EmulatedDevice(tensors=True)
    text = own.source("cuda")

    def verdicts(changed: str) -> set[str]:
        assert changed != text
        monkeypatch.setattr(type(own), "source", lambda self, target: changed)
        return {each.verdict for each in findings("gru", SMALL, device, modes=MODES[:3])}

    assert verdicts(text.replace("d_h_next * (n - h)", "d_h_next * (n + h)")) == {"fail"}
    assert verdicts(text.replace("at_3 = row * (3", "at_3 = row * (4")) == {"fail"}


def test_a_tolerance_is_kept_to() -> None:
    strict = Mode("strict", "float32", 1, "", 1e-12)
    (row,) = findings("elman", SMALL, EmulatedDevice(tensors=True), modes=[strict])
    assert row.verdict == "fail"
    assert row.error is not None
    assert 1e-12 < row.error < 1e-5


def test_everybody_is_timed_and_who_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        ran = 0

        def milliseconds(self, run: Callable[[], None]) -> float | None:
            run()
            self.ran += 1
            return float(self.ran)

    def no_compiler(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError("no compiler\nmore of it")

    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch, "compile", no_compiler)
    device = EmulatedDevice(tensors=True)
    clock = Clock()
    cell = load("lstm")
    rows = [timing(cell, SMALL, who, device, "cpu", clock, None) for who in everybody(cell)]
    assert [row.who for row in rows] == [
        *(f"gatewright, {mode.name}" for mode in MODES),
        "products alone, float32",
        *(f"torch.nn.LSTM, {each}" for each in cuda_time.PRECISIONS),
        "eager loop, float32",
        "torch.compile, float32",
    ]
    for row in rows[:-1]:
        assert row.why == ""
        assert row.sizes == SMALL
        assert row.forward is not None
        assert row.both == row.forward + 1
    assert (rows[-1].why, rows[-1].forward) == ("RuntimeError: no compiler", None)
    assert not torch.backends.cuda.matmul.allow_tf32


def test_a_mode_that_falls_back_is_not_timed_under_its_name() -> None:
    sizes, clock = Sizes(2, 2, 5, 3), cuda_time.NoClock()
    kernels = [
        timing(load("gru"), sizes, who, TINY, "cpu", clock, None)
        for who in everybody(load("gru"))
        if "one kernel" in who
    ]
    assert len(kernels) == 4
    assert all("tier 1" in row.why for row in kernels)


def test_products_alone_launch_no_kernel_and_multiply_as_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is timed beside the steps leaves out our kernels, and no product."""
    counts: list[int] = []
    multiply = matrices.TorchMatrices.multiply

    def counted(self: matrices.TorchMatrices, *arguments: Any) -> None:
        counts[-1] += 1
        multiply(self, *arguments)

    monkeypatch.setattr(matrices.TorchMatrices, "multiply", counted)
    launches = []
    for who in ("gatewright, float32, steps", cuda_time.PRODUCTS):
        device = EmulatedDevice(tensors=True)
        counts.append(0)
        row = timing(load("gru"), SMALL, who, device, "cpu", cuda_time.NoClock(), None)
        assert row.why == cuda_time.NO_TIME
        launches.append(sum(device.launches.values()))
    assert counts[0] == counts[1] > 0
    assert launches[0] > 0
    assert launches[1] == 0


def test_cells_of_an_authors_own_are_timed_watched_and_checked_in_full(tmp_path: Path) -> None:
    """A file of the name of one in the catalogue is another cell: nothing there stands for it."""
    path = tmp_path / "lstm.yaml"
    path.write_text("cell: lstm\ntitle: T\nextends: gru\n")
    chosen = selected((str(path),))
    assert chosen.watched == (str(path),)
    assert [(each.cell.identifier, size) for each, size in chosen.points] == [
        ("lstm", cuda_time.LONG)
    ]
    assert chosen.layers == chosen.cells
    assert not any("torch.nn" in who for who in everybody(chosen.cells[0]))
    assert any("torch.nn" in who for who in everybody(load("lstm")))
    every = selected()
    assert len(every.points) == len(cuda_time.TIMED)
    assert set(every.watched) < {each.cell.name for each in every.cells}


def test_the_sanitizer_is_told_what_to_run_and_listened_to() -> None:
    commands: list[list[str]] = []

    def ran(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        assert options["env"]["PYTORCH_NO_CUDA_MEMORY_CACHING"] == "1"
        code = 77 if "racecheck" in command else 0
        text = f"x\n========= ERROR SUMMARY: {code} errors\n"
        return subprocess.CompletedProcess(command, code, text, "")

    rows = list(sanitized(("memcheck", "racecheck"), ("elman",), lambda name: "/bin/cs", ran))
    assert [(each.tool, each.verdict) for each in rows] == [
        ("memcheck", "pass"),
        ("racecheck", "fail"),
    ]
    assert rows[1].said == "========= ERROR SUMMARY: 77 errors"
    assert commands[0][:3] == ["/bin/cs", "--tool", "memcheck"]
    options = ["check", "elman", "--quick", "--no-timing", "--no-sanitizer", "--one-process"]
    assert commands[0][-6:] == options

    def late(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        raise subprocess.TimeoutExpired("x", 1)

    def tool(**how: Any) -> tuple[str, str]:
        (row,) = sanitized(("memcheck",), **{"which": lambda name: "x", **how})
        return row.verdict, row.said

    assert tool(run=late) == ("fail", "TimeoutExpired: Command 'x' timed out after 1 seconds")
    soon = time.monotonic() + 60.0
    assert tool(run=late, until=soon) == ("not run", "there was no time left")
    assert tool(until=0.0) == ("not run", "there was no time left")
    assert tool(which=lambda name: None) == ("not run", "compute-sanitizer is not installed")


def test_the_command_writes_a_file_that_says_the_device_and_every_figure(
    emulated: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gpu.json"
    assert run(["cuda", "check", "indrnn", "--no-timing", "--output", str(path)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("emulator (none), emulated")
    # Every mode and three of PyTorch's ways, of both of its variants.
    assert "18 pass, 0 fail" in shown
    assert "racecheck: not run: it watches a GPU, and kernels are emulated" in shown
    content = json.loads(path.read_text())
    assert content["schema_version"] == 1
    assert content["device"]["emulated"] is True
    assert content["device"]["torch"]
    assert (content["passed"], content["failed"], len(content["findings"])) == (18, 0, 18)
    assert content["left"] == 0
    first = content["findings"][0]
    assert set(first) >= {
        "cell",
        "mode",
        "sizes",
        "verdict",
        "error",
        "where",
        "tolerance",
        "plans",
    }
    assert content["timings"] == []


def test_the_file_has_all_rows_so_far_and_time_that_is_up_is_exit_code_4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, counts = tmp_path / "gpu.json", []

    def rows(tasks: Any, *how: Any) -> Any:
        first, second, *others = tasks
        yield replace(first.lost("fail", ""), verdict="pass")
        counts.append(len(json.loads(path.read_text())["findings"]))
        yield second.lost("not run", "there was no time left")
        yield from (each.lost("not run", "there was no time left") for each in others)

    monkeypatch.setattr(cuda_run, "attended", rows)
    monkeypatch.setattr(cuda_run, "require_cuda", lambda: None)
    monkeypatch.setattr(cuda_run, "place", lambda: (TINY, "cpu", None, None))
    command = ["cuda", "check", "minimal_rnn", "--no-sanitizer", "--minutes", "1"]
    assert run([*command, "--output", str(path)]) == 4
    content = json.loads(path.read_text())
    assert counts == [1]
    assert (content["passed"], content["failed"]) == (1, 0)
    assert content["left"] == len(content["findings"]) + len(content["timings"]) - 1
    assert "1 pass, 0 fail, " in capsys.readouterr().out


def test_a_failure_is_exit_code_1(emulated: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_check, "_error", lambda wanted, got: 1.0)
    assert run(["cuda", "check", "indrnn", "--no-timing", "--json"]) == 1


@pytest.mark.skipif(not gpu.why_no_gpu(), reason="there is a device")
def test_no_gpu_is_exit_code_3_and_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cuda", "check", "indrnn"]) == 3
    said = capsys.readouterr().err
    assert said.startswith("error: CUDA is not available (")
    assert said.count("\n") == 1


@pytest.mark.parametrize("version", [12040])
def test_an_old_driver_is_exit_code_3(
    version: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "driver", lambda: Driver(FakeLibrary(version=version)))
    assert run(["cuda", "check", "indrnn"]) == 3
    assert "the CUDA driver is for CUDA 12.4, and the kernels need 13.0" in capsys.readouterr().err


def test_a_device_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    class About:
        name, total_memory = "NVIDIA H100", 80 << 30

    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: About)
    found = cuda_run.described(gpu.Gpu(0, Driver(FakeLibrary())))
    assert found["name"] == "NVIDIA H100"
    assert (found["arch"], found["driver"], found["multiprocessors"]) == ("sm_90", "13.0", 132)
    assert found["emulated"] is False


def test_a_plan_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cuda", "plan", "lstm", "--hidden", "512", "--batch", "16"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("float32 forward: tier 2, groups of blocks: ")
    command = ["cuda", "plan", "lstm", "--hidden", "8192", "--batch", "16", "--json"]
    assert run(command) == 0
    plans = json.loads(capsys.readouterr().out)["plans"]
    assert {plan["tier"] for plan in plans} == {1}
    assert plans[0]["why"].startswith("4 matrices of 8192 x 8192 and what is")


@compiles
def test_a_pack_holds_all_that_a_check_launches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["cuda", "pack", str(tmp_path), "minimal_rnn", "--quick", "--jobs", "2"]) == 0
    assert "kernels for sm_90" in capsys.readouterr().out
    monkeypatch.setenv("GATEWRIGHT_CUBINS", str(tmp_path))
    monkeypatch.setattr(cubins, "why_not_compiled", lambda: "no compiler")
    device = EmulatedDevice(limits=H100)
    wanted = list(codes([load("minimal_rnn")], cuda_check.QUICK, device))
    assert len(wanted) > 10
    for code, threads in wanted:
        cubin, entry = cubins.machine_code_of(code, "sm_90", threads)
        assert cubin[:4] == b"\x7fELF"
        assert code.kernel.name in entry
    with pytest.raises(CudaUnavailableError, match="no machine code of"):
        cubins.machine_code_of(wanted[0][0], "sm_80", wanted[0][1])


@pytest.mark.gpu
@pytest.mark.skipif(bool(gpu.why_no_gpu()), reason=f"needs a CUDA device: {gpu.why_no_gpu()}")
def test_every_cell_passes_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWRIGHT_CUDA", raising=False)
    assert run(["cuda", "check", "--quick", "--no-timing", "--no-sanitizer"]) == 0
