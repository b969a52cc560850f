"""Text of a generated CUDA file -> the file as the compiler or the emulator executes it.

The text is the same; what differs is where its words come from: `compiled.py` or `emulated.py`. The
parts of whole-sequence kernels that it imports are put into it, and numbers for its sizes.

Why by the imports that every file has: a reader sees in `generated/` what runs, as with `real`.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from gatewright.runtime.cuda.emulator_text import pausing
from gatewright.runtime.cuda.folded import folded
from gatewright.runtime.cuda.sizes import PAIRED, value
from gatewright.runtime.load import Module, load_module

_NAMES = r"(\([^)]*\)|[^\n(]*)\n"
_WORDS = re.compile(rf"from gatewright\.runtime\.cuda import {_NAMES}")
_PARTS = re.compile(rf"from gatewright\.runtime\.cuda\.parts import {_NAMES}")
_SIZES = re.compile(rf"from gatewright\.runtime\.cuda\.sizes import {_NAMES}")


def emulated(text: str, dtype: str, name: str) -> Callable[..., Any]:
    """Return a kernel of a generated file as the emulator runs it."""
    function: Callable[..., Any] = getattr(_emulated(text, dtype).namespace, name)
    return function


@lru_cache(maxsize=64)
def _emulated(text: str, dtype: str) -> Module:
    return load_module(pausing(_from(text, "emulated"))[0], "cuda", dtype)


@lru_cache(maxsize=64)
def compilable(text: str, dtype: str) -> Module:
    """Return a generated file as Numba compiles it: kernels are plain functions."""
    module = load_module(folded(_from(text, "compiled")), "cuda", dtype)
    if dtype == "float32":
        from gatewright.runtime.cuda.compiled import single_precision

        names = vars(module.namespace)
        names.update((n, word) for n, word in single_precision().items() if n in names)
    return module


def sized(text: str, sizes: Mapping[str, int]) -> str:
    """Return a generated file with its parts put in, and numbers for its sizes."""
    found = [_part(f"parts{name}") for name in parts_of(sizes["KIND"])]
    own = {name for listed in _SIZES.finditer(text) for name in _listed(listed[1])}
    needed = sorted(own.union(*(part.sizes for part in found)))
    words = sorted(frozenset().union(*(part.words for part in found)))
    text = _SIZES.sub("", text, count=1)
    imported = f"from gatewright.runtime.cuda import {', '.join(words)}\n"
    numbers = "".join(f"{name} = {value(name, sizes)}\n" for name in needed)
    given = imported + numbers + "".join(part.body for part in found)
    return _PARTS.sub(lambda _: given, text, count=1)


def parts_of(kind: int) -> tuple[str, ...]:
    """Return the files of the parts of kernels that multiply a kind of numbers."""
    return (
        "",
        "_pairs" if kind in PAIRED else "_numbers",
        "_tensor" if kind else "_plain",
    )


def _from(text: str, words: str) -> str:
    if not _WORDS.search(text):
        raise ValueError("this is not a generated CUDA file: it imports no words")
    return text.replace(
        "from gatewright.runtime.cuda import", f"from gatewright.runtime.cuda.{words} import"
    )


@dataclass(frozen=True)
class _Part:
    """The text of some parts without its imports, and the words and sizes it imports."""

    body: str
    words: frozenset[str]
    sizes: frozenset[str]


@cache
def _part(name: str) -> _Part:
    text = inspect.getsource(importlib.import_module(f"gatewright.runtime.cuda.{name}"))
    words, sizes = _WORDS.search(text), _SIZES.search(text)
    assert words and sizes
    return _Part(text[sizes.end() :], _listed(words[1]), _listed(sizes[1]))


def _listed(names: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", names))
