"""The examples of README.md and jax.md run as they are printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewright

ROOT = Path(__file__).resolve().parents[2]
JAX = "gen/gatewright/bridges/jax.md"
EXAMPLE = re.compile(r"<!-- run this example(?: of (\S+))? -->\n```python\n(.*?)```", re.DOTALL)


def examples(document: str) -> list[tuple[str, str]]:
    """Return library and text of every example."""
    return EXAMPLE.findall((ROOT / document).read_text(encoding="utf-8"))


def run(example: str, document: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(example, document, "exec", dont_inherit=True), names)  # noqa: S102
    return names


def test_the_readme_s_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx", reason="the example uses ONNX")
    monkeypatch.chdir(tmp_path)
    ((_, example),) = examples("README.md")
    run(example, "README.md")
    assert (tmp_path / "cell.onnx").is_file()


def test_a_cell_and_a_sequence_in_jax_agree() -> None:
    jax = pytest.importorskip("jax", reason="the example uses JAX")
    (example,) = (text for name, text in examples(JAX) if not name)
    names = run(example, JAX)
    _, ys = jax.jit(names["fast"])(names["params"], names["carry"], names["xs"])
    assert np.max(np.abs(ys - names["ys"])) < 1e-6
    assert names["gradients"].keys() == names["params"].keys()


@pytest.mark.parametrize("library", ["flax.nnx", "flax.linen", "equinox"])
def test_a_module_of_another_library(library: str) -> None:
    jax = pytest.importorskip("jax", reason="the example uses JAX")
    pytest.importorskip(library, reason=f"the example uses {library}")
    (example,) = (text for name, text in examples(JAX) if name == library)
    names = run(example, JAX)
    cell = gatewright.load("lstm")
    params = cell.init(input=3, hidden=4)
    pure = gatewright.jax.sequence(cell, route="scan")

    def loss(params: Any) -> Any:
        return (pure(params, names["carry"], names["xs"])[1] ** 2).sum()

    expected = jax.grad(loss)(params)
    gradients = names["gradients"]
    found = gradients["params"] if library == "flax.linen" else gradients.weights
    assert set(found) == set(expected)
    for name, each in expected.items():
        value = found[name]
        array = np.asarray(value[...] if library == "flax.nnx" else value)
        assert np.max(np.abs(array - each)) < 1e-5, name
        assert np.max(np.abs(array)) > 0
