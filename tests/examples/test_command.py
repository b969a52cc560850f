"""The command `example`: tables, drawings, and sentences for what cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from gatewright.cli.app import run
from gatewright.cli.example import NAMES
from gatewright.examples.curve import Curve, Point
from gatewright.runtime.processors import processors
from gatewright.studies.plot_curves import BOX, svg, ticks

pytest.importorskip("torch", reason="the examples use PyTorch")

TINY = ("--hidden", "6", "--batch", "3", "--length", "30", "--steps", "20", "--threads", "1")


def test_the_names_are_those_of_the_examples() -> None:
    from gatewright.examples.jobs import EXAMPLES

    assert tuple(EXAMPLES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_table_of_the_losses_and_then_what_the_model_does(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["example", name, "--cell", "gru", *TINY]) == 0
    printed, progress = capsys.readouterr()
    lines = printed.splitlines()
    assert lines[0].startswith(f"{name}, small: held-out loss in ")
    assert lines[2].split() == ["step", "gru"]
    assert [line.split()[0] for line in lines[3:24]] == [str(k) for k in range(21)]
    assert " is the loss of " in lines[25]
    assert lines[27:]
    assert progress == ""


def test_several_cells_stand_side_by_side(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    drawing = tmp_path / "losses.svg"
    cells = ["--cell", "gru", "--cell", "lstm"]
    assert run(["example", "adding", *cells, *TINY, "--plot", str(drawing)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["step", "gru", "lstm"]
    assert [line.split()[0] for line in lines[-3:]] == ["cell", "gru", "lstm"]
    words = "".join(ElementTree.parse(drawing).getroot().itertext())
    for word in ("adding, small", "mean squared error", "always answering 1", "gru", "lstm"):
        assert word in words


def test_json_holds_every_point(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["example", "copying", "--cell", "gru", *TINY, "--seed", "2", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["example"] == "copying"
    assert content["size"]["hidden"] == 6
    points = content["curves"]["gru"]["points"]
    assert [each["step"] for each in points] == list(range(21))
    assert points[0]["training"] is None
    assert all(each["held_out"] > 0 for each in points)


def test_a_race_prints_who_took_how_long_at_the_same_loss(
    capsys: pytest.CaptureFixture[str],
) -> None:
    others = ["--against", "torch.nn", "--against", "loop"]
    cells = ["--cell", "lstm", "--cell", "lstm_peephole"]
    assert run(["example", "char_lm", *cells, *others, *TINY]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [row[:2] for row in rows[:1]] == [["lstm", "gatewright"]]
    assert [row[0] for row in rows[1:3]] == ["torch.nn", "loop"]
    assert [row[:2] for row in rows[3:4]] == [["lstm_peephole", "gatewright"]]
    assert [row[0] for row in rows[4:]] == ["loop"]
    assert all(float(row[-1]) < 1e-3 for row in (rows[1], rows[2], rows[4]))
    assert run(["example", "adding", "--cell", "gru", *others, *TINY, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["races"]
    assert [each["name"] for each in found["others"]] == ["loop"]
    assert len(found["ours"]["losses"]) == 20


def test_a_race_is_written_with_the_machine_and_a_row_for_each_runner(tmp_path: Path) -> None:
    path = tmp_path / "race.json"
    cells = ["--cell", "lstm", "--cell", "gru"]
    others = ["--against", "torch.nn", "--against", "loop", "--output", str(path)]
    assert run(["example", "adding", *cells, *others, *TINY, "--threads", "1"]) == 0
    written = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert written["machine"]["versions"]["torch"]
    assert (written["protocol"]["example"], written["protocol"]["steps"]) == ("adding", 20)
    found = [(row["cell"], row["trained_by"], row["threads"]) for row in written["rows"]]
    assert found == [
        ("lstm", "gatewright", 1),
        ("lstm", "torch.nn", 1),
        ("lstm", "loop", 1),
        ("gru", "gatewright", 1),
        ("gru", "loop", 1),
    ]
    for row in written["rows"]:
        ours = row["trained_by"] == "gatewright"
        assert (row["ratio"] is None, row["first_losses_apart"] is None) == (ours, ours)


def test_a_race_against_something_else_ends_in_no(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gatewright.studies.race_peers import PEERS, eager

    def half(layer: Any) -> Any:
        found: Any = eager(layer)
        found.l0.b_i.data += 3.0
        return found

    monkeypatch.setitem(PEERS, "eager", half)
    assert run(["example", "adding", "--against", "eager", *TINY]) == 1
    assert "error: eager trained something else than lstm" in capsys.readouterr().err


TWO = """cell: two
title: Two inputs
cite: [nobody2026]
inputs: {x: input, gap: time}
states: {h: hidden}
parameters:
  W: [hidden, input]
  V: [hidden, time]
equations:
  h': tanh(W @ x + V @ gap + h)
output: h'
"""


def test_mistakes_are_sentences(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    two = tmp_path / "two.yaml"
    two.write_text(TWO)
    cases = [
        (["nothing"], "'nothing' is not one of"),
        (["adding", "--cell", "lstn"], "lstn"),
        (["adding", "--plot", str(tmp_path / "none" / "x.svg")], "there is no folder"),
        (["adding", "--plot", "x.svg", "--against", "loop"], "--plot draws losses"),
        (["adding", "--output", "x.json"], "--output is for the times of --against"),
        (["adding", "--steps", "1", "--against", "loop"], "--against needs 2 --steps or more"),
        (["forecast", "--length", "12"], "`length` of forecast must be above 20; got 12"),
        (["char_lm", "--length", "9000"], "`length` of char_lm must be below"),
        (["adding", "--seed", str(2**63)], "is not in the range"),
        (["adding", "--cell", str(two)], "`two` has inputs `x`, `gap`: an example gives one"),
    ]
    for arguments, sentence in cases:
        assert run(["example", *arguments]) == 2
        assert sentence in capsys.readouterr().err


def test_without_pytorch_there_is_a_sentence() -> None:
    for command in (["example", "adding"], ["overhead"]):
        code = (
            "import sys; sys.modules['torch'] = None\n"
            "from gatewright.cli.app import run\n"
            f"sys.exit(run({command}))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        sentence = "error: PyTorch is not installed: pip install 'gatewright[torch]'\n"
        assert (done.returncode, done.stderr) == (3, sentence)


# --------------------------------------------------------------------------------- drawings


def test_a_drawing_has_a_line_for_each_cell_and_one_for_the_baseline() -> None:
    curve = Curve((Point(0, None, 2.0), Point(50, 1.0, 0.9), Point(100, 0.5, 0.4)))
    worse = Curve(tuple(Point(each.step, each.training, 1.5) for each in curve.points))
    text = svg("a <title>", "nats", {"lstm": curve, "own & other": worse}, 1.0, "guessing")
    root = ElementTree.fromstring(text)
    lines = [each for each in root.iter() if each.tag.endswith("line")]
    joins = [each for each in lines if "join" in (each.get("class") or "")]
    assert [each.get("class") for each in joins] == ["join p0"] * 2 + ["join p1"] * 2
    (base,) = (each for each in lines if each.get("class") == "wrong")
    flat = {each.get("y1") for each in joins[2:]} | {each.get("y2") for each in joins[2:]}
    highest, height = 1.5, BOX.top + BOX.height
    assert flat == {f"{height - BOX.height * 1.5 / highest:.1f}"}
    assert base.get("y1") == f"{height - BOX.height / highest:.1f}"
    # Before the first step a loss may be above all others: it is drawn at the top.
    assert joins[0].get("y1") == f"{BOX.top:.1f}"
    assert "own & other" in "".join(root.itertext())


@pytest.mark.parametrize("highest", [0.03, 0.18, 0.99, 1.0, 2.7, 7.2, 20.0, 400.0, 999.0, 8000.0])
def test_ticks_are_few_round_and_within(highest: float) -> None:
    found = ticks(highest)
    assert found[0] == 0
    assert 3 <= len(found) <= 7
    assert found[-1] <= highest * (1 + 1e-9)
    assert f"{found[1]:e}"[0] in "125"
    assert float(f"{found[1]:.0e}") == pytest.approx(found[1])


@pytest.mark.parametrize("against", [[], ["--against", "eager"]], ids=["alone", "race"])
def test_more_threads_than_processors_are_as_many_as_there_are(
    against: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    set_to: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", set_to.append)
    assert run(["example", "adding", "--steps", "2", "--threads", "100000", *against]) == 0
    assert set_to and max(set_to) <= processors()
