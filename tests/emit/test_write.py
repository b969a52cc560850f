"""Files are written whole or not at all, and never over what is not ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gatewright.emit.freshness import check
from gatewright.emit.source import Source
from gatewright.emit.write import MANIFEST, MARK, OutputError, write, write_one

FIRST = Source("a", "cpu", f"{MARK}\nA = 1\n")
SECOND = Source("b", "cpu", f"{MARK}\nB = 1\n")


def test_a_written_folder_is_fresh(tmp_path: Path) -> None:
    done = write([FIRST, SECOND], tmp_path, whole=True)
    assert done.changed == ("cpu/a.py", "cpu/b.py")
    assert check([FIRST, SECOND], tmp_path).fresh
    assert write([FIRST, SECOND], tmp_path, whole=True).unchanged == done.changed


def test_stale_edited_missing_extra_and_unfinished_are_told_apart(tmp_path: Path) -> None:
    write([FIRST, SECOND], tmp_path, whole=True)
    newer = Source("a", "cpu", f"{MARK}\nA = 2\n")
    stale = check([newer, SECOND], tmp_path)
    assert (stale.stale, stale.edited) == (("cpu/a.py",), ())
    assert "-A = 1" in stale.diff and "+A = 2" in stale.diff
    assert str(stale).endswith("run `gatewright generate` and commit what it writes")
    (tmp_path / "cpu/a.py").write_text(f"{MARK}\nA = 3\n")
    assert check([FIRST, SECOND], tmp_path).edited == ("cpu/a.py",)
    (tmp_path / "cpu/a.py").unlink()
    assert check([FIRST, SECOND], tmp_path).missing == ("cpu/a.py",)
    write([FIRST, SECOND], tmp_path, whole=True)
    (tmp_path / "cpu/other.py").write_text("")
    assert check([FIRST, SECOND], tmp_path).extra == ("cpu/other.py",)
    (tmp_path / "cpu/other.py").unlink()
    (tmp_path / MANIFEST).write_text("{}")
    assert check([FIRST, SECOND], tmp_path).unfinished


def test_a_cell_that_is_gone_is_removed_with_its_file(tmp_path: Path) -> None:
    write([FIRST, SECOND], tmp_path, whole=True)
    assert write([FIRST], tmp_path, whole=True).removed == ("cpu/b.py",)
    assert check([FIRST], tmp_path).fresh


def test_writing_some_cells_leaves_the_others(tmp_path: Path) -> None:
    write([FIRST, SECOND], tmp_path, whole=True)
    newer = Source("a", "cpu", f"{MARK}\nA = 2\n")
    write([newer], tmp_path)
    assert check([newer, SECOND], tmp_path).fresh
    assert check([newer], tmp_path, whole=False).fresh


def test_a_file_that_is_not_ours_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/a.py").write_text("precious = True\n")
    with pytest.raises(OutputError, match="was not written by gatewright"):
        write([SECOND, FIRST], tmp_path)
    assert (tmp_path / "cpu/a.py").read_text() == "precious = True\n"
    assert not (tmp_path / "cpu/b.py").exists()
    write([FIRST], tmp_path, force=True)
    assert (tmp_path / "cpu/a.py").read_text() == FIRST.text


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = tmp_path / "generated"
    folder.mkdir()
    (folder / "cpu").symlink_to(outside)
    with pytest.raises(OutputError, match="symbolic link"):
        write([FIRST], folder)
    (folder / "cpu").unlink()
    (folder / "cpu").mkdir()
    (folder / "cpu/a.py").symlink_to(outside / "target.py")
    with pytest.raises(OutputError, match="symbolic link"):
        write([FIRST], folder)
    assert list(outside.iterdir()) == []


def test_a_path_cannot_leave_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "generated"
    (folder / "cpu").mkdir(parents=True)
    with pytest.raises(OutputError, match="outside"):
        write([Source("../../escaped", "cpu", FIRST.text)], folder)
    assert not (tmp_path / "escaped.py").exists()


def test_a_manifest_cannot_make_us_remove_foreign_files(tmp_path: Path) -> None:
    folder = tmp_path / "generated"
    write([FIRST], folder, whole=True)
    victim = tmp_path / "victim.py"
    victim.write_text(f"{MARK}\n")
    (folder / MANIFEST).write_text('{"files": {"../victim.py": "0", "/etc/hostname": "0"}}')
    write([FIRST], folder, whole=True)
    assert victim.exists()


@pytest.mark.parametrize("call", ["fsync", "open", "fdopen"])
def test_a_full_disk_changes_nothing(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write([FIRST], tmp_path, whole=True)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    real = getattr(os, call)

    def failing(*arguments: object, **options: object) -> object:
        if call == "open" and not str(arguments[0]).endswith(".tmp"):
            return real(*arguments, **options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, failing)
    with pytest.raises(OutputError, match="No space left on device"):
        write([Source("a", "cpu", f"{MARK}\nA = 2\n"), SECOND], tmp_path, whole=True)
    monkeypatch.undo()
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_writing_over_a_folder_or_under_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write([FIRST], tmp_path / "file")
    with pytest.raises(OutputError, match="cannot write"):
        write_one(tmp_path / "none" / "a.yaml", "x")


REWRITE = """
import sys
from pathlib import Path
from gatewright.emit.source import Source
from gatewright.emit.write import MARK, write
for n in range(10**6):
    body = f"A = {n}\\n" * 20000
    write([Source("a", "cpu", f"{MARK}\\n{body}")], Path(sys.argv[1]), whole=True)
"""


def test_a_killed_run_leaves_every_file_whole(tmp_path: Path) -> None:
    write([FIRST], tmp_path, whole=True)
    for round_number in range(8):
        process = subprocess.Popen([sys.executable, "-c", REWRITE, str(tmp_path)])
        time.sleep(0.35 + 0.021 * round_number)
        process.send_signal(signal.SIGKILL)
        process.wait()
        lines = (tmp_path / "cpu/a.py").read_text().splitlines()
        assert lines[0] == MARK
        assert len(set(lines[1:])) == 1
        assert len(lines) in (2, 20001)
    for stale in tmp_path.rglob(".*.tmp"):
        os.utime(stale, (0, 0))
    write([FIRST], tmp_path, whole=True)
    assert check([FIRST], tmp_path).fresh
