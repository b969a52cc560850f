"""Every bridge is a module of its own, and one that lacks its library says so in a sentence."""

from __future__ import annotations

import subprocess
import sys

import pytest

import gatewright

OFFERED = {
    "jax": {"cell", "sequence"},
    "keras": {"Weights", "cell", "from_keras", "layers", "to_keras"},
    "onnx": {"Weights", "export", "layers", "parameters"},
    "torch": {"RecurrentLayer", "TorchMissingError", "layer"},
    "transforms": {"projected", "zoneout"},
}
# Keras weights are arrays: nothing of ours needs Keras itself.
SENTENCES = {
    "jax": "gatewright.jax needs jax: pip install 'gatewright[jax]'",
    "onnx": "gatewright.onnx needs onnx: pip install 'gatewright[onnx]'",
    "torch": "PyTorch is not installed: pip install 'gatewright[torch]'",
}


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_bridge_is_known() -> None:
    assert set(OFFERED) == set(gatewright.MODULES)


@pytest.mark.parametrize("bridge", OFFERED)
def test_a_bridge_is_imported_as_a_module_or_found_as_an_attribute(bridge: str) -> None:
    if bridge in SENTENCES:
        pytest.importorskip(bridge, reason="the bridge's library")
    for way in (
        f"import gatewright.{bridge} as m",
        f"from gatewright import {bridge} as m",
        f"import gatewright; m = gatewright.{bridge}",
    ):
        named = run(
            f"{way}; print(m.__name__, *sorted(m.__all__), all(map(m.__dict__.get, m.__all__)))"
        )
        assert named.split() == [f"gatewright.{bridge}", *sorted(OFFERED[bridge]), "True"]


@pytest.mark.parametrize("bridge", SENTENCES)
def test_a_missing_library_is_a_sentence_and_an_import_error(bridge: str) -> None:
    for way in (f"import gatewright.{bridge}", f"import gatewright; gatewright.{bridge}"):
        text = run(
            f"import sys; sys.modules['{bridge}'] = None\n"
            "from gatewright.runtime.errors import BackendMissingError\n"
            f"try: {way}\n"
            "except BackendMissingError as error: print(isinstance(error, ImportError), error)"
        )
        assert text == f"True {SENTENCES[bridge]}"


def test_keras_weights_need_no_keras() -> None:
    prepare = "import sys; sys.modules['keras'] = None; import gatewright.keras as m"
    assert run(f"{prepare}; print(m.cell('GRU').cell.name)") == "gru_reset_after"
