"""Machine code of routines, kept from one process to the next.

Routine and argument types -> key -> compiled form. A key is a digest over everything that machine
code depends on: the text of the generated file, the text of every module in this folder and the
numbers they hold, types and options, versions, Numba's settings, and the processor. So nothing is
ever found that would have been compiled differently, and nothing has to be invalidated.

Only functions of a generated file that imports no foreign code, and functions of this folder's
modules, are kept: of others it is not known what they depend on. What a process changed in memory
beyond numbers, such as a function replaced by another, is not seen: set GATEWRIGHT_CACHE=off then.

Why not `cache=True`: Numba's own cache does not see an edited helper in another file, ends in a
traceback for a truncated file, and has no place for functions without a file.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import os
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from numba import config
from numba.core import compiler, serialize
from numba.core.caching import _Cache

from gatewright.python_syntax import parsed
from gatewright.runtime.load import TEXT
from gatewright.runtime.store import configured

_FOLDER = Path(__file__).parent
_PACKAGE = __name__.rpartition(".")[0]
_IMPORTS = {"__future__", "numpy", "gatewright.runtime.cpu", "gatewright.runtime.layout"}
# Settings that differ between runs on one machine and leave code as it is.
_IRRELEVANT = re.compile(r"THREAD|CACHE|CUDA|WARN|COLOR|DIRNAME")
_Parent: Any = _Cache
_compiler: Any = compiler
_dumps: Any = serialize


def _digest_of_folder() -> str | None:
    """Return a digest over the text of this folder's modules, None if it cannot be read."""
    found = hashlib.sha256()
    try:
        for path in sorted(_FOLDER.glob("*.py")):
            content = path.read_bytes()
            found.update(f"{path.name} {len(content)}\n".encode() + content)
    except OSError:
        return None
    return found.hexdigest()


# What is in memory was read from the text that was there at this time, before the other modules.
_AT_IMPORT = _digest_of_folder()


def _folder_as_imported() -> str | None:
    """Return the digest of the folder, None if somebody has changed it since it was imported."""
    now = _digest_of_folder()
    return now if now == _AT_IMPORT else None


def _numbers() -> str:
    """Return the numbers that this folder's modules hold at the moment; a test may change one."""
    kinds = (bool, int, float, str, tuple, dict)
    found = []
    for name, module in sorted(sys.modules.items()):
        if name.startswith(f"{_PACKAGE}.") and isinstance(module, ModuleType):
            for key, value in sorted(vars(module).items()):
                if isinstance(value, kinds) and not key.startswith("__") and key != "_AT_IMPORT":
                    found.append(f"{name}.{key} = {value!r}" if _plain(value) else "")
    return "\n".join(filter(None, found))


def _plain(value: Any) -> bool:
    """Return whether a value is made of numbers and text alone: others print their address."""
    if isinstance(value, dict):
        return all(_plain(each) for pair in value.items() for each in pair)
    if isinstance(value, tuple):
        return all(map(_plain, value))
    return isinstance(value, bool | int | float | str)


@cache
def _machine() -> str:
    """Return versions and the processor."""
    return repr(
        (
            (sys.version, sys.implementation.cache_tag, os.name),
            (numba.__version__, llvmlite.__version__, np.__version__),
            (llvm.llvm_version_info, llvm.get_process_triple(), llvm.get_host_cpu_name()),
            llvm.get_host_cpu_features().flatten(),
        )
    )


def _settings() -> str:
    """Return Numba's settings, which may change while a process runs."""
    kinds = (bool, int, float, str, type(None))
    return repr(
        [
            (name, str(value))
            for name, value in sorted(vars(config).items())
            if name.isupper() and isinstance(value, kinds) and not _IRRELEVANT.search(name)
        ]
    )


def _text_of(function: Callable[..., Any]) -> str | None:
    """Return the text that a function's meaning depends on besides this folder's, None if unknown.

    A function made inside another has no place of its own in the text.
    """
    names = function.__globals__
    if function.__closure__ or "<locals>" in function.__qualname__:
        return None
    if str(names.get("__name__", "")).startswith(f"{_PACKAGE}."):
        return ""
    text = names.get(TEXT)
    return text if isinstance(text, str) and _imported(text) <= _IMPORTS else None


@cache
def _imported(text: str) -> set[str]:
    """Return the names of all modules that a text imports."""
    found = set()
    for node in ast.walk(parsed(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


class RoutineCache(_Parent):  # type: ignore[misc]
    """What Numba asks for compiled forms of one function, and gives them to."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self._function = function
        self._options = options

    @property
    def cache_path(self) -> str | None:
        """The folder, None if there is none."""
        folder = configured().folder
        return None if folder is None else str(folder)

    def enable(self) -> None:
        """Do nothing: the environment decides."""

    def disable(self) -> None:
        """Do nothing: the environment decides."""

    def flush(self) -> None:
        """Do nothing: a stale key is never asked for."""

    def key(self, signature: Any, codegen: Any) -> str | None:
        """Return the key of a compiled form, None if it is not to be kept."""
        text, folder = _text_of(self._function), _folder_as_imported()
        if text is None or folder is None:
            return None
        code = self._function.__code__
        place = (self._function.__module__, code.co_qualname, code.co_firstlineno)
        parts = (
            repr((place, sorted(self._options.items()), codegen.magic_tuple())),
            repr([str(kind) for kind in signature]),
            *(text, folder, _numbers(), _machine(), _settings()),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return the compiled form for some argument types, None if there is none."""
        # Whatever is wrong with it, it can be compiled anew.
        with contextlib.suppress(Exception):
            key = self.key(signature, context.codegen())
            payload = configured().get(key) if key else None
            if payload is not None:
                context.refresh()
                with importable(self._function):
                    return _compiler.CompileResult._rebuild(context, *pickle.loads(payload))
        return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep a compiled form, unless addresses of this process are written in it."""
        if compiled.lifted or compiled.library.has_dynamic_globals:
            return
        with contextlib.suppress(Exception):
            key = self.key(signature, compiled.codegen)
            if key:
                configured().put(key, _dumps.dumps(compiled._reduce()))


@contextlib.contextmanager
def importable(function: Callable[..., Any]) -> Iterator[None]:
    """Let a function's module be imported by its name for a while, though it has no file.

    Numba writes the name down when it compiles, and imports it when it reads a compiled form.
    """
    name = function.__module__
    if not name or name in sys.modules:
        yield
        return
    module = ModuleType(name)
    module.__dict__.update(function.__globals__)
    sys.modules[name] = module
    try:
        yield
    finally:
        sys.modules.pop(name, None)
