from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gatewright.runtime import store as module
from gatewright.runtime.store import Store, configured

KEY, OTHER = "0a" * 32, "0b" * 32
POSIX = pytest.mark.skipif(os.name == "nt", reason="modes and owners are those of POSIX")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "deep" / "cache")


def file_of(store: Store, key: str = KEY) -> Path:
    assert store.folder
    return store.folder / f"{key}.code"


def test_what_was_put_is_found(store: Store) -> None:
    assert store.get(KEY) is None
    assert store.usage() == (0, 0)
    assert store.put(KEY, b"payload")
    assert store.get(KEY) == b"payload"
    assert store.get(OTHER) is None
    assert store.usage()[0] == 1
    assert store.clear() > 0
    assert store.get(KEY) is None


@POSIX
def test_the_folder_and_its_files_are_the_users_own(store: Store) -> None:
    before = os.umask(0)
    try:
        store.put(KEY, b"payload")
    finally:
        os.umask(before)
    assert store.folder
    assert store.folder.stat().st_mode & 0o777 == 0o700
    assert store.folder.parent.stat().st_mode & 0o777 == 0o700
    assert file_of(store).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("length", [0, 1, 16, 17, 40, 54])
def test_a_file_cut_off_is_missing_and_replaced(store: Store, length: int) -> None:
    store.put(KEY, b"payload")
    content = file_of(store).read_bytes()
    assert len(content) == 17 + 32 + 7
    file_of(store).write_bytes(content[:length])
    assert store.get(KEY) is None
    assert not file_of(store).exists()
    assert store.put(KEY, b"payload")
    assert store.get(KEY) == b"payload"


@pytest.mark.parametrize("place", [0, 20, -1])
def test_a_file_with_one_bit_flipped_is_missing(store: Store, place: int) -> None:
    store.put(KEY, b"payload")
    content = bytearray(file_of(store).read_bytes())
    content[place] ^= 1
    file_of(store).write_bytes(content)
    assert store.get(KEY) is None


def test_a_file_of_another_key_is_missing(store: Store) -> None:
    store.put(KEY, b"payload")
    file_of(store).rename(file_of(store, OTHER))
    assert store.get(OTHER) is None


@POSIX
def test_a_folder_that_others_can_write_is_not_used(store: Store) -> None:
    store.put(KEY, b"payload")
    assert store.folder
    for mode in (0o777, 0o720, 0o702):
        store.folder.chmod(mode)
        assert store.get(KEY) is None
        assert not store.put(KEY, b"payload")
        assert "can be written by others: chmod 700" in str(store.why_not())
    store.folder.chmod(0o755)
    assert store.get(KEY) == b"payload"
    assert store.why_not() is None


@POSIX
def test_a_folder_of_another_user_is_not_used(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(KEY, b"payload")
    assert store.get(KEY) == b"payload"
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    assert "belongs to another user" in str(store.why_not())
    assert store.get(KEY) is None
    assert not store.put(OTHER, b"payload")


@POSIX
def test_a_link_that_another_user_made_is_not_followed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(KEY, b"payload")
    assert store.folder
    link = tmp_path / "link"
    link.symlink_to(store.folder)
    linked = Store(link)
    assert linked.get(KEY) == b"payload"
    lstat, uid = Path.lstat, os.geteuid()

    def foreign(path: Path) -> os.stat_result:
        found = lstat(path)
        return os.stat_result((*found[:4], uid + 1, *found[5:])) if path == link else found

    monkeypatch.setattr(Path, "lstat", foreign)
    assert "belongs to another user" in str(linked.why_not())
    assert linked.get(KEY) is None


@POSIX
def test_a_file_that_is_a_link_or_that_others_can_write_is_missing(
    store: Store, tmp_path: Path
) -> None:
    store.put(KEY, b"payload")
    file_of(store).chmod(0o666)
    assert store.get(KEY) is None
    store.put(KEY, b"payload")
    elsewhere = tmp_path / "elsewhere"
    file_of(store).rename(elsewhere)
    file_of(store).symlink_to(elsewhere)
    assert store.get(KEY) is None
    assert store.put(KEY, b"payload")
    assert store.get(KEY) == b"payload"


def test_a_place_that_cannot_be_a_folder_does_without(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    for folder in (occupied, occupied / "below", Path("/dev/null/cache")):
        store = Store(folder)
        assert not store.put(KEY, b"payload")
        assert store.get(KEY) is None
        assert store.usage() == (0, 0)
        assert store.why_not()


@POSIX
def test_a_folder_that_cannot_be_written_does_without(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    user = os.geteuid()
    try:
        if user == 0:
            # The superuser can write everywhere; nobody cannot.
            os.seteuid(65534)
        for store in (Store(tmp_path), Store(tmp_path / "below")):
            assert not store.put(KEY, b"payload")
            assert store.get(KEY) is None
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o700)


def test_a_full_disk_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.folder

    def full(path: Path, content: bytes) -> None:
        path.write_bytes(content[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_write", full)
        assert not store.put(KEY, b"payload")
    assert list(store.folder.iterdir()) == []
    assert store.put(KEY, b"payload")


WRITER = """
import sys
from pathlib import Path
from gatewright.runtime.store import Store
store = Store(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    store.put("0a" * 32, b"x" * 3_000_000)
"""


@POSIX
def test_a_killed_writer_leaves_nothing_that_breaks(store: Store) -> None:
    found = 0
    for round_number in range(6):
        command = [sys.executable, "-c", WRITER, str(store.folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout
            writer.stdout.readline()
            time.sleep(0.01 + 0.007 * round_number)
            writer.send_signal(signal.SIGKILL)
        payload = store.get(KEY)
        assert payload is None or payload == b"x" * 3_000_000
        found += payload is not None
    assert found
    assert store.put(KEY, b"payload")
    assert store.get(KEY) == b"payload"


def test_what_killed_writers_left_goes_after_an_hour(store: Store) -> None:
    store.put(KEY, b"payload")
    assert store.folder
    fresh, stale, foreign = (store.folder / name for name in ("1.tmp", "2.tmp", "notes.txt"))
    for path in (fresh, stale, foreign):
        path.write_bytes(b"cut")
    for path in (stale, foreign):
        os.utime(path, (time.time() - 7200,) * 2)
    store.put(OTHER, b"payload")
    assert fresh.exists()
    assert not stale.exists()
    store.clear()
    assert list(store.folder.iterdir()) == [foreign]


def test_what_was_not_read_for_longest_goes_first(store: Store) -> None:
    assert store.folder
    small = Store(store.folder, limit=1000)
    keys = [f"{number:02x}" * 32 for number in range(4)]
    for age, key in enumerate(keys[:3]):
        small.put(key, bytes(250))
        os.utime(file_of(small, key), (1000.0 + age,) * 2)
    assert small.get(keys[0])
    small.put(keys[3], bytes(250))
    assert [small.get(key) is not None for key in keys] == [True, False, True, True]
    assert small.usage()[1] <= 1000


def test_the_environment_says_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GATEWRIGHT_CACHE", str(tmp_path / "mine"))
    assert configured() == Store(tmp_path / "mine")
    monkeypatch.setenv("GATEWRIGHT_CACHE", "off")
    assert configured().why_not() == "GATEWRIGHT_CACHE is off"
    assert not configured().put(KEY, b"payload")
    assert configured().get(KEY) is None
    monkeypatch.delenv("GATEWRIGHT_CACHE")
    variable = "LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME"
    monkeypatch.setenv(variable, str(tmp_path))
    assert configured().folder == tmp_path / "gatewright"
    monkeypatch.setenv(variable, "relative")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert configured().folder == tmp_path / ".cache" / "gatewright"

    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", homeless)
    assert configured().why_not() == "there is no home folder"
