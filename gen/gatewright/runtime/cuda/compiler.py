"""Code, architecture -> Assembled: compile one kernel, with no device and no driver.

    Numba      text of the kernel  -> PTX, for the oldest architecture that we support
    sass.py    PTX                 -> cubin for any of them, and what the assembler says of it

Why one PTX for all: kernels use nothing that came later, and Numba takes longer than the assembler.
Why a kernel at a time: each is loaded on its own, and what is wrong with one is said of that one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from gatewright.runtime.cuda.devices import Code
from gatewright.runtime.cuda.kernel import Passed
from gatewright.runtime.cuda.numba_cuda import numba_cuda, why_no_compiler
from gatewright.runtime.cuda.realms import compilable
from gatewright.runtime.cuda.sass import Assembled, assembled, why_no_machine_code

OLDEST = (8, 0)
_ENTRY = re.compile(r"\.entry\s+([\w$]+)")


def why_not_compiled() -> str:
    """Return a sentence why kernels cannot be compiled here, empty if they can."""
    return why_no_compiler() or why_no_machine_code()


def compiled(code: Code, arch: str, threads: int | None = None) -> tuple[Assembled, str]:
    """Return the machine code of a kernel for an architecture such as `sm_90`, and its entry.

    `threads` is the most that a block of it may have. Raises CudaUnavailableError where the tools
    are missing, AssemblyError if they refuse the kernel.
    """
    ptx = ptx_of(code, threads)
    entry = _ENTRY.search(ptx)
    assert entry, "PTX without an entry"
    return assembled(ptx, arch), entry[1]


@lru_cache(maxsize=256)
def ptx_of(code: Code, threads: int | None = None) -> str:
    """Return the PTX of a kernel; every later architecture runs it too."""
    cuda = numba_cuda()
    module = compilable(code.text, code.dtype)
    function = getattr(module.namespace, code.kernel.name)
    signature = cuda.types.void(*(_numba_type(cuda.types, p, code.dtype) for p in code.passed))
    bounds = {} if threads is None else {"launch_bounds": (threads, 1)}
    ptx, _ = cuda.compile_ptx(function, signature, cc=OLDEST, **bounds)
    return str(ptx)


def _numba_type(types: Any, passed: Passed, dtype: str) -> Any:
    real = getattr(types, dtype)
    return {
        Passed.SIZE: types.int64,
        Passed.CONSTANT: real,
        Passed.POINTER: types.CPointer(real),
        Passed.COUNTER: types.CPointer(types.uint32),
    }[passed]
