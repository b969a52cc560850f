"""A wheel works outside the repository: the catalogue, a new cell, its kernels."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

needs_build = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("build", "hatchling")),
    reason="build and hatchling are not installed (extra `dev`)",
)


def run(*arguments: str, folder: Path, site: Path | None = None) -> str:
    environment = dict(os.environ)
    environment.pop("PYTHONPATH", None)
    if site is not None:
        environment["PYTHONPATH"] = str(site)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build sdist -> wheel, unpack the wheel into a folder of its own, return that folder."""
    out = tmp_path_factory.mktemp("dist")
    site = tmp_path_factory.mktemp("site")
    run("-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT), folder=out)
    (wheel,) = out.glob("*.whl")
    run("-m", "pip", "install", "-q", "--no-deps", "--target", str(site), str(wheel), folder=out)
    return site


@needs_build
def test_the_wheel_has_the_catalogue_the_generated_files_and_the_schema(installed: Path) -> None:
    package = installed / "gatewright"
    specs = {path.name for path in (package / "specs").glob("*.yaml")}
    assert specs == {path.name for path in (ROOT / "specs").glob("*.yaml")}
    generated = {p.relative_to(package) for p in (package / "generated").rglob("*.py")}
    assert len(generated) >= 2 * len(specs)
    assert (package / "cell.schema.json").is_file()
    assert (package / "py.typed").is_file()
    assert (package / "examples" / "declaration_and_constitution.txt").is_file()
    assert {path.name for path in installed.iterdir() if path.is_dir()} >= {"gatewright"}
    assert not any((installed / name).exists() for name in ("specs", "gen", "generated", "tests"))


@needs_build
def test_the_wheel_checks_generates_and_runs_a_cell_outside_the_repository(
    installed: Path, tmp_path: Path
) -> None:
    where = run("-c", "import gatewright; print(gatewright.__file__)", folder=tmp_path,
                site=installed)  # fmt: skip
    assert str(installed) in where
    command = ("-m", "gatewright")
    listed = json.loads(run(*command, "list", "--json", folder=tmp_path, site=installed))
    assert len(listed["cells"]) >= 14
    run(*command, "new", "own_cell", folder=tmp_path, site=installed)
    run(*command, "check", "own_cell.yaml", folder=tmp_path, site=installed)
    run(*command, "generate", "own_cell.yaml", folder=tmp_path, site=installed)
    assert (tmp_path / "generated/cpu/own_cell.py").is_file()
    folder = installed / "gatewright" / "generated"
    run(*command, "generate", "--check", "--output", str(folder), folder=tmp_path, site=installed)
    used = (
        "import gatewright; cell = gatewright.load('own_cell.yaml');"
        "p = cell.init(input=3, hidden=4); k = cell.compile(); import numpy as np;"
        "run = k.forward(p, np.ones((2, 1, 3), 'float32')); print(run.y.shape)"
    )
    assert run("-c", used, folder=tmp_path, site=installed).strip() == "(2, 1, 4)"
