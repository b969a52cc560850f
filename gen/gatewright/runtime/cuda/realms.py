"""Text of a generated CUDA file -> the file as the compiler or the emulator executes it.

The text is the same; what differs is where its words come from: `compiled.py` or `emulated.py`.

Why by the one import that every file has: a reader sees in `generated/` what runs, as with `real`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from gatewright.runtime.cuda.emulator_text import pausing
from gatewright.runtime.load import Module, load_module

_WORDS = "from gatewright.runtime.cuda import"


def emulated(text: str, dtype: str, name: str) -> Callable[..., Any]:
    """Return a kernel of a generated file as the emulator runs it."""
    function: Callable[..., Any] = getattr(_emulated(text, dtype).namespace, name)
    return function


@lru_cache(maxsize=64)
def _emulated(text: str, dtype: str) -> Module:
    paused, _ = pausing(_from(text, "emulated"))
    return load_module(paused, "cuda", dtype)


@lru_cache(maxsize=64)
def compilable(text: str, dtype: str) -> Module:
    """Return a generated file as Numba compiles it: kernels are plain functions."""
    module = load_module(_from(text, "compiled"), "cuda", dtype)
    if dtype == "float32":
        from gatewright.runtime.cuda.compiled import single_precision

        names = vars(module.namespace)
        names.update((n, word) for n, word in single_precision().items() if n in names)
    return module


def _from(text: str, words: str) -> str:
    if text.count(_WORDS) != 1:
        raise ValueError("this is not a generated CUDA file: it does not import its words once")
    return text.replace(_WORDS, _WORDS.replace(" import", f".{words} import"))
