"""Without PyTorch, gatewright imports, and what needs PyTorch says in a sentence how to get it."""

from __future__ import annotations

import subprocess
import sys

import pytest

PREPARE = """
import sys
sys.modules["torch"] = None
import gatewright
"""


def run(code: str) -> str:
    command = [sys.executable, "-c", PREPARE + code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_sentence_says_what_to_install() -> None:
    for attempt in ("gatewright.torch.layer", "import gatewright.torch"):
        code = f"""
from gatewright.runtime.errors import BackendMissingError
try:
    {attempt}
except BackendMissingError as error:
    print(isinstance(error, ImportError), error)
"""
        assert run(code) == "True PyTorch is not installed: pip install 'gatewright[torch]'"


def test_everything_else_works() -> None:
    assert run("print(gatewright.load('lstm').cell.name, hasattr(gatewright, 'nothing'))") == (
        "lstm False"
    )


def test_layers_of_arrays_need_no_pytorch() -> None:
    code = """
layer = gatewright.layer('lstm', 2, 3, proj_size=2, zoneout=0.1, target='reference')
print(len(layer.init()), gatewright.unit('gru'), gatewright.transforms.projected('lstm').cell.name)
"""
    assert run(code) == "13 Unit('gru') lstm_projected"


def test_another_missing_module_is_not_taken_for_pytorch() -> None:
    pytest.importorskip("torch", reason="what is missing here is something else")
    code = """
del sys.modules["torch"]
sys.modules["gatewright.language.closures"] = None
try:
    gatewright.torch
except ImportError as error:
    print(type(error).__name__, error.name)
"""
    assert run(code) == "ModuleNotFoundError gatewright.language.closures"
