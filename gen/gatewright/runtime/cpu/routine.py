"""A compiled function of the CPU target: Numba's dispatcher, with less work where less will do.

A function that Python calls is compiled to machine code with a wrapper that unpacks its arguments,
and both are kept on disk. A function that only compiled code calls is brought as far as LLVM code,
for its callers to take in: it is optimised there, and gets no wrapper and no machine code of its
own until Python calls it after all.

Why not Numba's own: it optimises every function on the way to the one that is called, and makes
machine code and two wrappers of each, which took more than half of the time to the first result.
"""

from __future__ import annotations

import copy
import itertools
import os
import secrets
from functools import cache
from typing import Any

from numba.core import bytecode, compiler, dispatcher, sigutils, targetconfig
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher

from gatewright.runtime.cpu.cache import RoutineCache, importable

_bytecode: Any = bytecode
_compiler: Any = compiler
_Parent: Any = CPUDispatcher
_Library: Any = JITCodeLibrary
_dispatcher: Any = dispatcher
_signatures: Any = sigutils
_stack: Any = targetconfig.ConfigStack
_Steps: Any = _dispatcher._FunctionCompiler


def _number_apart() -> None:
    """Let this process number its functions as no other does.

    Numba counts them from 1 and makes the number part of a symbol. Code that was kept by one
    process and code compiled in another must not give two functions the same symbol: the linker
    would take the first for both.
    """
    _bytecode.FunctionIdentity._unique_ids = itertools.count(secrets.randbits(60) + 2**60)


_number_apart()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_number_apart)


def _inside() -> bool:
    """Return whether another function is being compiled, in this thread, at this moment."""
    return _stack.top_or_none() is not None


class _InlinedLibrary(_Library):  # type: ignore[misc]
    """LLVM code to be linked into that of callers, and optimised and made machine code there."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


@cache
def _inlined_context(context: Any) -> Any:
    """Return a target context that asks for no address of what it compiled."""
    found = copy.copy(context)
    found.get_executable = lambda library, descriptor, environment: object()
    return found


class _Compiler(_Steps):  # type: ignore[misc]
    """Compiles for Python, or for the function that is being compiled."""

    outer_context: Any

    def _compile_core(self, args: Any, return_type: Any) -> Any:
        flags = _compiler.Flags()
        self.targetdescr.options.parse_as_flags(flags, self.targetoptions)
        context = self.targetdescr.target_context
        library = None
        if _inside():
            flags.no_cpython_wrapper = True
            library = _InlinedLibrary(context.codegen(), self.py_func.__qualname__)
            context = _inlined_context(context)
        else:
            context = self.outer_context(context)
        return _compiler.compile_extra(
            self.targetdescr.typing_context,
            context,
            self.py_func,
            args=args,
            return_type=return_type,
            flags=flags,
            locals=self.locals,
            library=library,
            pipeline_class=self.pipeline_class,
        )


class _Outermost(RoutineCache):
    """Keeps what is compiled for Python, and not what is compiled for that."""

    def load_overload(self, signature: Any, context: Any) -> Any:
        return None if _inside() else super().load_overload(signature, context)

    def save_overload(self, signature: Any, compiled: Any) -> None:
        if not _inside():
            super().save_overload(signature, compiled)


class Routine(_Parent):  # type: ignore[misc]
    """A function that compiles itself for the types it is called with."""

    def __init__(self, py_func: Any, locals: Any = None, targetoptions: Any = None) -> None:
        super().__init__(py_func, locals or {}, targetoptions or {})
        self._compiler = _Compiler(
            py_func, self.targetdescr, self.targetoptions, self.locals, _compiler.Compiler
        )
        self._compiler.outer_context = self.outer_context
        self._cache = _Outermost(py_func, self.targetoptions)

    def outer_context(self, context: Any) -> Any:
        """Return the target context that compiles this function for Python."""
        return context

    def add_overload(self, compiled: Any) -> None:
        """Make a compiled form known, to Python only if Python can call it."""
        if isinstance(compiled.library, _InlinedLibrary):
            self.overloads[tuple(compiled.signature.args)] = compiled
            return
        # What was taken in from other functions finds their environments by symbol.
        for environment in compiled._find_referenced_environments():
            compiled.library.codegen.set_env(environment.env_name, environment)
        super().add_overload(compiled)

    def compile(self, signature: Any) -> Any:
        """Compile for argument types, or find what was compiled, and return its entry point.

        Raises Numba's TypingError if the function does not accept the types.
        """
        if _inside():
            return super().compile(signature)
        with global_compiler_lock, importable(self.py_func):
            types = tuple(_signatures.normalize_signature(signature)[0])
            found = self.overloads.get(types)
            if found is not None and isinstance(found.library, _InlinedLibrary):
                del self.overloads[types]
            return super().compile(signature)
