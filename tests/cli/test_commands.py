"""The command line: exit codes, JSON with a schema version, sentences instead of tracebacks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from gatewright.cli.app import commands, run
from gatewright.cli.grad import Done, Job
from gatewright.language import catalogue
from gatewright.runtime.errors import BackendMissingError
from gatewright.runtime.store import Store

Capture = pytest.CaptureFixture[str]


def json_of(capsys: Capture, *arguments: str) -> dict[str, Any]:
    run([*arguments, "--json"])
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert content["schema_version"] == 1
    return content


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run every test in an empty folder: no command may need the repository around it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("group", [[], ["cuda"]])
def test_help_has_a_line_with_a_whole_sentence_for_every_command(
    group: list[str], capsys: Capture
) -> None:
    listed: click.Command = commands
    for name in group:
        listed = commands.commands[name]
    assert isinstance(listed, click.Group)
    assert run([*group, "--help"]) == 0
    shown = capsys.readouterr().out.splitlines()
    for name in listed.commands:
        (line,) = (each for each in shown if each.startswith(f"  {name} "))
        assert line.endswith(".")
        assert "..." not in line


def test_list_names_every_cell_with_its_states_and_gates(capsys: Capture) -> None:
    cells = json_of(capsys, "list")["cells"]
    assert len(cells) >= 14
    (lstm,) = (cell for cell in cells if cell["cell"] == "lstm")
    assert lstm["states"] == ["h", "c"]
    assert set(lstm["gates"]) == {"i", "f", "o"}
    assert lstm["parameters"]["U_i"] == ["hidden", "hidden"]
    assert run(["list"]) == 0
    assert "lstm_peephole" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        ("spec", "cell: lstm"),
        ("cell", "c' = f * c + i * g"),
        ("program", "U_i_h, U_f_h, U_g_h, U_o_h = (U_i, U_f, U_g, U_o) @ h"),
        ("vjp", "d_c = d_c_next * f"),
        ("source", "def cell("),
        ("latex", r"\tanh"),
        ("mathml", "<math"),
    ],
)
def test_every_stage_prints(stage: str, text: str, capsys: Capture) -> None:
    assert run(["show", "lstm", "--stage", stage]) == 0
    assert text in capsys.readouterr().out
    assert text in json_of(capsys, "show", "lstm", "--stage", stage)["text"]


def test_a_shown_spec_reads_back_as_the_same_cell(capsys: Capture, tmp_path: Path) -> None:
    for name in catalogue.names():
        assert run(["show", name, "--stage", "spec"]) == 0
        path = tmp_path / f"{name}.yaml"
        path.write_text(capsys.readouterr().out)
        assert catalogue.load(str(path)) == catalogue.load(name)


def test_show_takes_settings_and_targets(capsys: Capture) -> None:
    assert run(["show", "elman", "--set", "activation=relu"]) == 0
    assert "elman_relu" in capsys.readouterr().out
    assert run(["show", "elman", "--stage", "source", "--target", "cuda"]) == 0
    assert "gatewright.runtime.cuda" in capsys.readouterr().out
    assert run(["show", "elman", "--set", "activation"]) == 2
    assert "--set takes NAME=VALUE" in capsys.readouterr().err


def test_a_new_cell_checks_clean_and_generates(capsys: Capture, tmp_path: Path) -> None:
    assert run(["new", "my_cell"]) == 0
    assert run(["new", "my_cell"]) == 2
    assert "my_cell.yaml exists" in capsys.readouterr().err
    assert json_of(capsys, "check", "my_cell.yaml") == {
        "schema_version": 1,
        "checked": ["my_cell"],
        "diagnostics": [],
    }
    assert run(["fmt", "--check", "my_cell.yaml"]) == 0
    assert run(["generate", "my_cell.yaml"]) == 0
    written = sorted(path.name for path in (tmp_path / "generated").rglob("*") if path.is_file())
    assert written == ["MANIFEST.json", "my_cell.py", "my_cell.py"]
    assert run(["generate", "my_cell.yaml", "--check"]) == 0
    (tmp_path / "generated/cpu/my_cell.py").write_text("# edited\n")
    capsys.readouterr()
    stale = json_of(capsys, "generate", "my_cell.yaml", "--check")
    assert (stale["fresh"], stale["stale"]) == (False, ["cpu/my_cell.py"])
    assert run(["generate", "my_cell.yaml", "--check", "--diff"]) == 1
    assert "-# edited" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["../escape", "con", "Upper", "a b", "{{ 7 * 7 }}", ""])
def test_a_new_cell_needs_a_plain_name(name: str, capsys: Capture, tmp_path: Path) -> None:
    assert run(["new", name]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_cell_of_one_s_own_is_named_by_its_file(capsys: Capture) -> None:
    run(["new", "mine"])
    assert run(["check", "mine"]) == 2
    assert "did you mean the file `mine.yaml`?" in capsys.readouterr().err


def test_a_mistake_in_a_spec_is_shown_with_its_place(capsys: Capture, tmp_path: Path) -> None:
    run(["new", "my_cell"])
    path = tmp_path / "my_cell.yaml"
    path.write_text(path.read_text().replace("sigmoid(", "sigmod(", 1))
    capsys.readouterr()
    assert run(["check", "my_cell.yaml"]) == 2
    error = capsys.readouterr().err
    assert "error[E0305]: unknown function `sigmod`" in error
    assert "did you mean `sigmoid`?" in error
    assert "^^^^^^" in error
    (found,) = json_of(capsys, "check", "my_cell.yaml")["diagnostics"]
    assert found["code"] == "E0305"
    assert found["range"]["start"]["line"] > 1
    assert run(["generate", "my_cell.yaml"]) == 2
    assert not (tmp_path / "generated").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "missing_cell"],
        ["show", "no/such/file.yaml"],
        ["check", "."],
        ["check", "/dev/null"],
        ["check", "/dev/zero"],
        ["grad"],
        ["grad", "lstm", "--all"],
        ["grad", "missing_cell"],
        ["explain", "E9999"],
        ["generate", "lstm", "--output", "/dev/null/x"],
        ["show", "janet", "--set", "gamma=1"],
        ["show", "elman", "--set", "activation=sine"],
        ["nonsense"],
        ["list", "--nonsense"],
    ],
)
def test_bad_input_is_exit_code_2_and_a_sentence(arguments: list[str], capsys: Capture) -> None:
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert error.strip()
    assert "Traceback" not in error
    assert "bug" not in error


def test_a_fifo_and_an_unreadable_size_do_not_hang(tmp_path: Path, capsys: Capture) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    assert run(["check", "fifo.yaml"]) == 2
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(2**30)
    assert run(["check", "huge.yaml"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_explain_knows_every_code_and_lists_them(capsys: Capture) -> None:
    assert run(["explain", "e0301"]) == 0
    assert capsys.readouterr().out.startswith("E0301: ")
    codes = json_of(capsys, "explain")["codes"]
    assert len(codes) > 40
    assert json_of(capsys, "explain", "E0301")["explanation"]


def test_doctor_says_what_is_there(capsys: Capture) -> None:
    facts = json_of(capsys, "doctor")
    assert {"python", "numba", "cuda", "catalogue", "vector units", "cache"} <= set(facts)


def test_the_cache_says_where_it_is_and_is_cleared(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache"
    monkeypatch.setenv("GATEWRIGHT_CACHE", str(folder))
    assert json_of(capsys, "cache")["cache"].startswith(f"{folder} (0 files, 0.0 MiB of")
    Store(folder).put("0a", bytes(2**20))
    assert json_of(capsys, "doctor")["cache"].startswith(f"{folder} (1 files, 1.0 MiB of")
    assert run(["cache", "--clear"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{folder} (0 files, 0.0 MiB of")
    assert err == "removed 1.0 MiB\n"
    assert list(folder.iterdir()) == []


def test_doctor_says_why_the_cache_is_off(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWRIGHT_CACHE", "off")
    assert json_of(capsys, "doctor")["cache"] == "off: GATEWRIGHT_CACHE is off"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GATEWRIGHT_CACHE", str(tmp_path / "file"))
    assert json_of(capsys, "doctor")["cache"] == f"off: {tmp_path / 'file'} is not a folder"
    assert run(["cache", "--clear"]) == 0


def test_fmt_rewrites_and_keeps_the_meaning(tmp_path: Path, capsys: Capture) -> None:
    run(["new", "my_cell"])
    path = tmp_path / "my_cell.yaml"
    before = catalogue.load(str(path))
    path.write_text(path.read_text().replace(" * ", "  ⊙ "))
    assert run(["fmt", "--check", "my_cell.yaml"]) == 1
    assert run(["fmt", "--diff", "my_cell.yaml"]) == 1
    assert "⊙" in path.read_text()
    assert run(["fmt", "my_cell.yaml"]) == 0
    assert "⊙" not in path.read_text()
    assert catalogue.load(str(path)) == before
    assert run(["fmt", "--check", "my_cell.yaml"]) == 0


def test_our_own_bug_is_exit_code_70(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def broken() -> tuple[str, ...]:
        raise ZeroDivisionError("seeded")

    monkeypatch.setattr(catalogue, "names", broken)
    assert run(["list"]) == 70
    error = capsys.readouterr().err
    assert "this is a bug in gatewright" in error
    assert "seeded" in error


def test_a_missing_backend_is_exit_code_3(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def missing() -> tuple[str, ...]:
        raise BackendMissingError("there is no such device; use another")

    monkeypatch.setattr(catalogue, "names", missing)
    assert run(["list"]) == 3
    assert capsys.readouterr().err == "error: there is no such device; use another\n"


def test_an_interrupt_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> tuple[str, ...]:
        raise KeyboardInterrupt

    monkeypatch.setattr(catalogue, "names", interrupted)
    assert run(["list"]) == 130


def test_an_interrupt_that_somebody_turns_into_another_exception_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def imported() -> tuple[str, ...]:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise RecursionError("maximum recursion depth exceeded") from None
        return ()

    monkeypatch.setattr(catalogue, "names", imported)
    # What a shell begins in the background does not listen to interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert run(["list"]) == 130
        assert capsys.readouterr().err == "interrupted\n"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    "error",
    [MemoryError("Unable to allocate 3 TiB"), RuntimeError("DefaultCPUAllocator: can't allocate")],
    ids=["numpy", "torch"],
)
def test_sizes_that_need_too_much_memory_are_bad_input_and_no_bug(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def full() -> tuple[str, ...]:
        raise error

    monkeypatch.setattr(catalogue, "names", full)
    assert run(["list"]) == 2
    assert capsys.readouterr().err == "error: these sizes need more memory than there is\n"


def test_results_can_be_piped_into_a_reader_that_leaves() -> None:
    command = f"{sys.executable} -m gatewright show lstm --stage source | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("# Generated by gatewright")
    assert "Error" not in done.stderr


def test_two_specs_for_one_file_are_refused(tmp_path: Path, capsys: Capture) -> None:
    run(["new", "my_cell"])
    (tmp_path / "again.yaml").write_text((tmp_path / "my_cell.yaml").read_text())
    assert run(["generate", "my_cell.yaml", "again.yaml"]) == 2
    assert "two specs would both be written as `my_cell.py`" in capsys.readouterr().err
    assert not (tmp_path / "generated").exists()


def test_paths_with_spaces_and_other_letters_work(tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "мои клетки ⊙"
    folder.mkdir()
    assert run(["new", "my_cell", "--dir", str(folder)]) == 0
    assert run(["check", str(folder / "my_cell.yaml")]) == 0
    assert run(["generate", str(folder / "my_cell.yaml"), "--output", str(folder / "out")]) == 0
    assert (folder / "out" / "cuda" / "my_cell.py").is_file()


def test_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    run(["new", "my_cell"])
    path = tmp_path / "my_cell.yaml"
    before = catalogue.load(str(path))
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert catalogue.load(str(path)) == before


def test_two_generators_at_once_leave_a_fresh_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gatewright", "generate", "lstm", "gru", "--output", "out"]
    runs = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait() for process in runs] == [0, 0, 0]
    assert run(["generate", "lstm", "gru", "--output", "out", "--check"]) == 0
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("locale", ["C", "tr_TR.UTF-8"])
def test_output_survives_a_poor_locale(locale: str, tmp_path: Path) -> None:
    environment = {**os.environ, "LC_ALL": locale, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "gatewright", "show", "lstm", "--stage", "mathml"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr


def test_grad_certifies_every_variant(capsys: Capture) -> None:
    found = json_of(capsys, "grad", "elman", "--target", "reference", "--jobs", "2")
    assert [c["cell"] for c in found["certificates"]] == ["elman", "elman_relu"]
    assert found["counts"] == {"pass": 2, "fail": 0, "inconclusive": 0}
    assert all(c["worst"] <= 1e-12 and c["where"] for c in found["certificates"])


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (("pass", "pass"), 0),
        (("pass", "inconclusive"), 4),
        (("fail", "inconclusive"), 1),
    ],
)
def test_grad_ends_with_the_worst_verdict(
    verdicts: tuple[str, str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    waiting = list(verdicts)

    def certified(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Done]]:
        for job in jobs:
            found = {"cell": job.spec, "target": job.target, "dtype": job.dtype, "where": "h[0]"}
            verdict = {"verdict": waiting.pop(0), "worst": None, "simulated": False}
            yield job, Done("the table", {**found, **verdict})

    monkeypatch.setattr("gatewright.cli.grad._certified", certified)
    assert run(["grad", "lstm", "gru", "--target", "reference"]) == code
    assert f"{verdicts.count('pass')} pass" in capsys.readouterr().out
