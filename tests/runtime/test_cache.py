from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import gatewright
from gatewright.runtime.cpu import cache, drivers, native, parts
from gatewright.runtime.cpu.cache import RoutineCache
from gatewright.runtime.load import load_module
from gatewright.runtime.store import configured

TEXT = """from numpy import float64 as real

from gatewright.runtime.cpu import driver, wait

LAYOUT = None


@driver
def inner(x, y):
    for i in range(x.size):
        y[i] = x[i] * real(3)


@driver
def outer(part, x, y):
    wait(part)
    inner(x, y)
"""

# Prints how many functions were compiled, and the result of two threads that wait for each other.
PROBE = """
import json, sys, threading, time
import numpy as np
from numba.core import event
from gatewright.runtime.load import load_module
from gatewright.runtime.cpu.parts import new_shared
class Counter(event.Listener):
    count = 0
    def on_start(self, _):
        self.count += 1
    def on_end(self, _):
        pass
counter = Counter()
event.register("numba:compile", counter)
outer = load_module(sys.stdin.read(), "cpu", "float32").routine("outer")
x, y = np.arange(6, dtype=np.float32), np.zeros(6, np.float32)
outer((0, 1, 1, new_shared(1)), x, y)
shared, z = new_shared(2), np.zeros(6, np.float32)
first = threading.Thread(target=outer, args=((0, 2, 1, shared), x, z))
first.start()
time.sleep(0.02)
outer((1, 2, 1, shared), x, y)
first.join()
print(json.dumps({"compiled": counter.count, "y": y.tolist(), "z": z.tolist()}))
"""
RESULT = [0.0, 3.0, 6.0, 9.0, 12.0, 15.0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the cache's folder, which does not exist yet."""
    if native.SLEEP:
        drivers.publish()  # what all routines share
    path = tmp_path / "cache"
    monkeypatch.setenv("GATEWRIGHT_CACHE", str(path))
    return path


def probe(text: str = TEXT, package: Path | None = None) -> int:
    """Run a fresh process and return how many functions it compiled; it may print nothing else."""
    source = package or Path(gatewright.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE],
        input=text,
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["y"] == found["z"] == RESULT
    return int(found["compiled"])


def hits(text: str = TEXT, dtype: str = "float32") -> int:
    """Run the routine in this process, anew, and return how often it was found on disk."""
    outer: Any = load_module(text, "cpu", dtype).routine("outer")
    x, y = np.arange(6, dtype=dtype), np.zeros(6, dtype)
    outer(parts.whole(), x, y)
    assert y.tolist() == RESULT
    return int(sum(outer.stats.cache_hits.values()))


def only_file(folder: Path) -> Path:
    (path,) = folder.glob("*.code")
    return path


def test_a_second_process_compiles_nothing(folder: Path) -> None:
    assert probe() > 1
    assert probe() == 0
    # Only what Python called is kept, and what hands out its parts.
    assert len(list(folder.iterdir())) == 1 + native.SLEEP


def test_kept_code_asks_for_what_it_calls_by_name(folder: Path) -> None:
    assert hits() == 0
    assert b"gatewright_yield" in only_file(folder).read_bytes()


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def nonsense(path: Path) -> None:
    path.write_text("import os\n" * 1000)


def sealed_nonsense(path: Path) -> None:
    configured().put(path.stem, b"no pickle at all")


def sealed_tuple(path: Path) -> None:
    configured().put(path.stem, b"(I1\nI2\nt.")


def another(path: Path) -> None:
    hits(dtype="float64")
    (other,) = set(path.parent.glob("*.code")) - {path}
    other.replace(path)


@pytest.mark.parametrize(
    "damage", [truncated, flipped, nonsense, sealed_nonsense, sealed_tuple, another]
)
def test_a_damaged_file_is_replaced(folder: Path, damage: Callable[[Path], None]) -> None:
    assert hits() == 0
    path = only_file(folder)
    good = path.stat().st_size
    damage(path)
    assert hits() == 0
    assert abs(only_file(folder).stat().st_size - good) < 1000
    assert hits() == 1


def test_a_folder_that_is_not_to_be_trusted_is_left_alone(folder: Path) -> None:
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    if os.name != "nt":
        assert probe() > 1
        assert probe() > 1
        assert list(folder.iterdir()) == []


def test_a_place_that_cannot_be_written_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GATEWRIGHT_CACHE", str(tmp_path / "file" / "cache"))
    assert probe() > 1


def test_it_can_be_switched_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hits() == 0
    assert hits() == 1
    monkeypatch.setenv("GATEWRIGHT_CACHE", "off")
    assert hits() == 0


def test_eight_processes_may_start_at_once(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: probe(), range(8)))
    assert max(counts) > 1
    assert probe() == 0
    assert {path.suffix for path in folder.iterdir()} == {".code"}


def test_another_text_or_precision_is_compiled(folder: Path) -> None:
    assert hits() == 0
    assert hits(TEXT.replace("real(3)", "(real(1) + real(2))")) == 0
    assert hits(dtype="float64") == 0
    assert (hits(), hits(dtype="float64")) == (1, 1)
    assert len(list(folder.iterdir())) == 3


def test_an_edited_runtime_is_compiled(folder: Path, tmp_path: Path) -> None:
    package = Path(gatewright.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, tmp_path / "gen" / "gatewright", ignore=ignored)
    assert probe() > 1
    assert probe(package=tmp_path / "gen") == 0
    edited = tmp_path / "gen" / "gatewright" / "runtime" / "cpu" / "threads.py"
    edited.write_text(edited.read_text() + "\n# another line\n")
    assert probe(package=tmp_path / "gen") > 1
    assert probe(package=tmp_path / "gen") == 0
    assert probe() == 0


def key(text: str = TEXT, name: str = "outer", options: Any = None, types: Any = ("a",)) -> Any:
    routine: Any = load_module(text, "cpu", "float32").routine(name)
    kept = RoutineCache(routine.py_func, options or {})
    return kept.key(types, routine.targetctx.codegen())


def test_a_key_depends_on_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = [key(), key(name="inner"), key(options={"noalias": True}), key(types=("b",))]
    with monkeypatch.context() as patch:
        patch.setattr("gatewright.runtime.cpu.products._CHUNK", 7)
        keys.append(key())
    with monkeypatch.context() as patch:
        patch.setattr("numba.config.BOUNDSCHECK", 1)
        keys.append(key())
    with monkeypatch.context() as patch:
        patch.setattr(cache, "_machine", lambda: "another processor")
        keys.append(key())
    (tmp_path / "parts.py").write_text("")
    with monkeypatch.context() as patch:
        patch.setattr(cache, "_FOLDER", tmp_path)
        patch.setattr(cache, "_AT_IMPORT", cache._digest_of_folder())
        keys.append(key())
        (tmp_path / "parts.py").write_text(" ")
        # What was imported is no longer what can be read.
        assert key() is None
    assert len(set(keys)) == len(keys)
    assert None not in keys
    assert key() == keys[0]


def test_what_a_key_cannot_tell_is_not_kept() -> None:
    assert key()
    assert key(TEXT + '\n"""\nfrom math import pi\n"""\n')
    for foreign in ("from math import pi", "if True:\n    import math", "import numpy, math"):
        assert key(f"{TEXT}\n{foreign}\n") is None
    codegen = load_module(TEXT, "cpu", "float32").namespace.outer.targetctx.codegen()

    def closure(x: int) -> Any:
        return RESULT if x else codegen

    assert RoutineCache(closure, {}).key(("a",), codegen) is None
    assert RoutineCache(probe, {}).key(("a",), codegen) is None


def test_code_with_addresses_is_not_kept(folder: Path) -> None:
    routine: Any = load_module(TEXT, "cpu", "float32").routine("outer")
    found = RoutineCache(routine.py_func, {})
    library = SimpleNamespace(has_dynamic_globals=True)
    compiled = SimpleNamespace(
        lifted=(), library=library, codegen=routine.targetctx.codegen(), _reduce=lambda: (1, 2)
    )
    found.save_overload(("a",), compiled)
    assert not folder.exists()
    library.has_dynamic_globals = False
    found.save_overload(("a",), compiled)
    assert only_file(folder)


CELL = """
import hashlib, os
import numpy as np
from numba.core import event
import gatewright
cell = gatewright.load("elman")
kernels = cell.compile(dtype="float64", threads=4)
with event.install_recorder("numba:compile") as seen:
    x = np.random.default_rng(0).standard_normal((12, 40, 20))
    run = kernels.forward(cell.init(input=20, hidden=70, dtype="float64"), x)
    gradients = kernels.backward(run, run.y)
digest = hashlib.sha256()
for array in (run.y, gradients.x, *gradients.parameters.values()):
    digest.update(np.ascontiguousarray(array).tobytes())
print(len(seen.buffer), digest.hexdigest())
"""


def test_a_cell_is_found_with_the_same_bits_on_four_threads(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(gatewright.__file__).parents[1])}
    found = []
    for _ in range(2):
        command = [sys.executable, "-W", "error", "-c", CELL]
        found.append(
            subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True
            ).stdout.split()
        )
    (first, bits), (second, same) = found
    assert int(first) > int(second) == 0
    assert same == bits
