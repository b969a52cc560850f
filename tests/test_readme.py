"""The README shows the repository as it is: its excerpts are the files' own text."""

from __future__ import annotations

import ast
import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewright
from gatewright.claims.library import every_claim
from gatewright.cli.app import commands
from gatewright.language.diagnostics import SpecError
from gatewright.language.reader import read_spec_text
from gatewright.language.resolve import resolve
from gatewright.studies.report import geometric_mean
from gatewright.studies.result_file import read_report

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
EXCERPT = re.compile(r"<!-- (\S+)(?: (\w+))? -->\n```(\w+)\n(.*?)```", re.DOTALL)


def function_text(path: str, name: str) -> str:
    text = (ROOT / path).read_text()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return (ast.get_source_segment(text, node) or "") + "\n"
    raise AssertionError(f"no function {name} in {path}")


def claim_text(path: str, name: str) -> str:
    lines = (ROOT / path).read_text().split("\n")
    start = lines.index(f"  {name}:")
    end = next(k for k in range(start + 1, len(lines)) if not lines[k].startswith("    "))
    return "\n".join(line[2:] for line in lines[start:end]) + "\n"


def without_comments(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("#"))


def test_excerpts_are_the_files_own_text() -> None:
    found = EXCERPT.findall(README)
    assert len(found) == 4
    for path, name, _, shown in found:
        if name and path.endswith(".yaml"):
            expected = claim_text(path, name)
        elif name:
            expected = function_text(path, name)
        else:
            expected = without_comments((ROOT / path).read_text())
        assert shown == expected, f"README's excerpt of {path} {name} should be:\n{expected}"


RESULTS = ROOT / "gen/gatewright/studies/results"
LAYERS = {"lstm": "LSTM", "gru_reset_after": "GRU, reset after", "elman": "Elman (tanh)"}


def test_the_figures_of_speed_are_those_of_the_committed_run() -> None:
    name = "gen/gatewright/studies/results/full.json"
    lines = []
    for group in json.loads((ROOT / name).read_text())["groups"]:
        means = group["geometric_means"]
        peers = ("torch.nn", "torch loop", "jax scan", "onnxruntime")
        figures = (f"{means[peer]:.2f}" if peer in means else "-" for peer in peers)
        place = (LAYERS[group["cell"]], group["task"], str(group["threads"]))
        lines.append(f"| {' | '.join((*place, *figures))} |")
    shown = README.split(f"<!-- {name} -->")[1].split("!")[0].strip().splitlines()[2:]
    assert shown == lines


def test_the_sentences_about_speed_follow_from_the_committed_run() -> None:
    report = read_report((ROOT / "gen/gatewright/studies/results/full.json").read_text())
    ratios: dict[str, list[float]] = {}
    for row in (row for row in report.rows if not row.disturbed):
        found = row.peer("torch.nn")
        assert found and found.ratio
        ratios.setdefault(row.cell, []).append(found.ratio)
    others = [*ratios["gru_reset_after"], *ratios["elman"]]
    lstm = ratios["lstm"]
    behind = sum(ratio < 1 for ratio in lstm)
    large = [row.percent_of_peak for row in report.rows if row.B >= 64 and row.H >= 256]
    text = " ".join(README.split())
    assert (
        f"behind at all {len(others)} points that no other work disturbed, of "
        f"{sum(row.cell != 'lstm' for row in report.rows)} ({min(others):.1f} at the least)"
    ) in text
    assert f"behind in the mean ({geometric_mean(lstm):.2f})" in text
    assert f"ahead at {behind} of {len(lstm)} points ({min(lstm):.2f} at the worst" in text
    assert f"run at {sum(large) / len(large):.0f} % of what our own product reaches" in text
    assert f"the worst, {min(large):.0f} %," in text


def test_the_figures_of_whole_training_steps_are_those_of_the_committed_races() -> None:
    lines = []
    for name in ("full", "small", "long"):
        found = json.loads((RESULTS / f"race_char_lm_{name}.json").read_text())
        rows = {(row["cell"], row["trained_by"]): row for row in found["rows"]}
        asked = found["protocol"]
        threads = rows["lstm", "gatewright"]["threads"]
        figures = [
            f"{rows[pair]['ratio']:.2f} ({rows[pair]['ceiling']:.1f})"
            for pair in (
                ("lstm", "torch.nn"),
                ("gru_reset_after", "torch.nn"),
                ("lstm_peephole", "loop"),
            )
        ]
        place = (f"{asked['batch']}, {asked['hidden']}, {asked['length']}", str(threads))
        lines.append(f"| {' | '.join((*place, *figures))} |")
    shown = README.split("<!-- race_char_lm -->")[1].split("\n\n")[0].strip().splitlines()[2:]
    assert shown == lines


def test_the_figures_of_overhead_are_those_of_the_committed_run() -> None:
    rows = json.loads((RESULTS / "overhead.json").read_text())["rows"]
    percents = {
        count: [row["percent"] for row in rows if row["threads"] == count] for count in (1, 2, 4)
    }
    few = [*percents[1], *percents[2]]
    stated = f"adds {min(few):.0f} to {max(few):.0f} % at 64 rows, 256 units and 128 steps"
    text = " ".join(README.split())
    assert f"{stated} on one and two threads and up to {max(percents[4]):.0f} % on four" in text


def test_there_are_two_commands_that_make_their_environment() -> None:
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert "--grad" in commands[0]
    assert "pytest" in commands[1]


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(import numpy.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)  # noqa: S102
    assert {"run", "gradients", "step"} <= names.keys()


def test_the_pytorch_example_runs() -> None:
    torch = pytest.importorskip("torch", reason="the example is for PyTorch")
    (example,) = re.findall(
        r"```python\n(import gatewright\nimport torch.*?)```", README, re.DOTALL
    )
    names: dict[str, Any] = {}
    exec(compile(example, "README.md", "exec"), names)  # noqa: S102
    assert names["y"].shape == (20, 8, 4)
    assert all(parameter.grad is not None for parameter in names["layer"].parameters())
    assert names["weights"].keys() == torch.nn.LSTM(3, 4, bidirectional=True).state_dict().keys()


def in_table(heading: str, end: str) -> list[str]:
    """Return what a table of the README has in backticks."""
    return re.findall(r"`([^`]+)`", README.split(heading)[1].split(end)[0])


def value(code: str, **names: object) -> Any:
    return eval(code, dict(names))  # noqa: S307


def test_what_the_table_about_python_offers_is_there() -> None:
    cell = gatewright.load("lstm_peephole")
    layer = gatewright.layer("lstm", 3, 4, num_layers=2)
    every, backward, *others = in_table("| for | there is |", "## In PyTorch")
    kernels = value(every, cell=cell).compile("reference", "float64")
    parameters = cell.init(input=3, hidden=4, dtype="float64")
    run = kernels.forward(parameters, np.ones((20, 8, 3)))
    assert value(backward, kernels=kernels, run=run, ct_y=run.y, ct_c=run.y)
    x = np.ones((120, 8, 3), "float32")
    names = {"gatewright": gatewright, "cell": cell, "layer": layer, "x": x}
    names["parameters"] = layer.init()
    for code in others:
        if code.startswith("kernels."):
            assert value(code, kernels=kernels, run=run, ct_y=run.y).x is None
        elif code.startswith("for "):
            found = value(f"[steps {code}]", **names)
            assert found == [slice(0, 50), slice(50, 100), slice(100, 120)]
        elif "(" in code:
            assert value(code.removeprefix("layer = "), **names)
        else:
            assert callable(getattr(layer, code))


def test_what_the_table_about_pytorch_offers_is_there() -> None:
    pytest.importorskip("torch", reason="the table is about PyTorch")
    for code in in_table("| argument | |", "With kernels"):
        if code.startswith(("layer(", "sizes", "{")):
            continue
        options = value(f"dict({code})") if "=" in code else {code: True}
        assert gatewright.torch.layer("lstm", 3, 4, **options)


def shown_commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("gatewright")]


@pytest.mark.parametrize("shown", shown_commands(), ids=" ".join)
def test_every_command_is_understood(shown: list[str]) -> None:
    _, name, *arguments = shown
    assert commands.commands[name].make_context(name, arguments)


def test_the_numbers_of_claims_are_those_of_the_library() -> None:
    claims = every_claim()
    proved = sum(claim.expect == "proved" for claim in claims)
    assert f"# {len(claims)} claims, true and false" in README
    assert f"all {proved} proved claims" in README


BROKEN = """cell: gru
title: GRU
cite: [cho2014learning]
inputs: {x: input}
states: {h: hidden}
parameters:
  W_z: [hidden, input]
  U_z: [hidden, hidden]

equations:
  z: >-
    sigmoid(W_z @ x
      + Uz @ h)
  h': z * h
output: h'
gates: [z]
"""


def test_the_error_shown_is_the_error_given() -> None:
    with pytest.raises(SpecError) as caught:
        resolve(read_spec_text(BROKEN, "specs/gru.yaml"))
    shown = str(caught.value).split("\n\n")[0]
    assert shown in README, shown
