"""Python function -> handler of XLA's foreign function interface, which XLA calls like compiled C.

    handler(function, version)   a ctypes function pointer, for `jax.ffi.pycapsule`

XLA hands a handler one call frame with the addresses and shapes of all arguments and results. The
structures below are those of jaxlib's `xla/ffi/api/c_api.h`; the function is given NumPy arrays
over the same memory, so nothing is copied on the way in.

Why Python and not compiled code: a handler runs a whole sequence, beside which the microseconds of
a call are nothing, and there is then no compiler to have and no binary to ship. Why only versions
that were tried: the interface is of version 0, and a structure read wrongly would read foreign
memory; with any other version the caller takes `jax.pure_callback`.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_void_p
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gatewright.runtime.validate import Array

# Fills the results, given the arguments.
Function = Callable[[Sequence[Array], Sequence[Array]], None]

# Of jaxlib 0.5 to 0.12.
TRIED = tuple((0, minor) for minor in range(1, 6))
_METADATA, _EXECUTE, _INTERNAL = 1, 3, 13
_DTYPES: dict[int, np.dtype[Any]] = {11: np.dtype(np.float32), 12: np.dtype(np.float64)}


class _Extension(ctypes.Structure):
    _fields_: ClassVar[Any] = [("struct_size", c_size_t), ("type", c_int), ("next", c_void_p)]


class _Version(ctypes.Structure):
    _fields_: ClassVar[Any] = [
        *(("struct_size", c_size_t), ("extension", c_void_p)),
        *(("major", c_int), ("minor", c_int)),
    ]


class _Metadata(ctypes.Structure):
    _fields_: ClassVar[Any] = [
        *(("struct_size", c_size_t), ("version", _Version)),
        *(("traits", c_uint32), ("state_type_id", c_int64)),
    ]


class _MetadataExtension(ctypes.Structure):
    _fields_: ClassVar[Any] = [("base", _Extension), ("metadata", POINTER(_Metadata))]


class _Buffer(ctypes.Structure):
    _fields_: ClassVar[Any] = [
        *(("struct_size", c_size_t), ("extension", c_void_p), ("dtype", c_int)),
        *(("data", c_void_p), ("rank", c_int64), ("dims", POINTER(c_int64))),
    ]


class _Buffers(ctypes.Structure):
    _fields_: ClassVar[Any] = [
        *(("struct_size", c_size_t), ("extension", c_void_p), ("size", c_int64)),
        *(("types", c_void_p), ("items", POINTER(POINTER(_Buffer)))),
    ]


class _ErrorArguments(ctypes.Structure):
    _fields_: ClassVar[Any] = [
        *(("struct_size", c_size_t), ("extension", c_void_p)),
        *(("message", c_char_p), ("code", c_int)),
    ]


_CreateError = ctypes.CFUNCTYPE(c_void_p, POINTER(_ErrorArguments))


class _Api(ctypes.Structure):
    """The beginning of the table of functions; the rest is not used."""

    _fields_: ClassVar[Any] = [
        *(("struct_size", c_size_t), ("extension", c_void_p)),
        *(("version", _Version), ("internal", c_void_p), ("create_error", _CreateError)),
    ]


class _CallFrame(ctypes.Structure):
    """The beginning of a call frame; attributes are not used."""

    _fields_: ClassVar[Any] = [
        *(("struct_size", c_size_t), ("extension", POINTER(_Extension))),
        *(("api", POINTER(_Api)), ("context", c_void_p), ("stage", c_int)),
        *(("arguments", _Buffers), ("results", _Buffers)),
    ]


_Handler = ctypes.CFUNCTYPE(c_void_p, POINTER(_CallFrame))


def version(headers: str | Path) -> tuple[int, int] | None:
    """Return the version of the interface that jaxlib's headers declare; None if they do not."""
    path = Path(headers) / "xla" / "ffi" / "api" / "c_api.h"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return None
    found = [re.search(rf"#define XLA_FFI_API_{part} (\d+)", text) for part in ("MAJOR", "MINOR")]
    major, minor = (int(each[1]) if each else -1 for each in found)
    return major, minor


def handler(function: Function, speaks: tuple[int, int]) -> Any:
    """Return a function pointer through which XLA runs `function`; the caller must keep it.

    An exception becomes an error of XLA, with its text.
    """

    def run(frame: Any) -> int | None:
        call = frame.contents
        try:
            if call.extension and call.extension.contents.type == _METADATA:
                _describe(call.extension, speaks)
            elif call.stage == _EXECUTE:
                function(_arrays(call.arguments), _arrays(call.results))
        except Exception as error:  # an exception must not reach C
            return _error(call.api.contents, f"{type(error).__name__}: {error}")
        return None

    return _Handler(run)


def _describe(extension: Any, speaks: tuple[int, int]) -> None:
    """Answer what XLA asks every handler first: for which version it was written."""
    metadata = ctypes.cast(extension, POINTER(_MetadataExtension)).contents.metadata.contents
    metadata.version.major, metadata.version.minor = speaks
    metadata.traits = 0
    metadata.state_type_id = 0


def _arrays(buffers: Any) -> list[Array]:
    return [_array(buffers.items[k].contents) for k in range(buffers.size)]


def _array(buffer: Any) -> Array:
    """Return a buffer as an array over the same memory."""
    dtype = _DTYPES[buffer.dtype]
    shape = tuple(buffer.dims[: buffer.rank]) if buffer.rank else ()
    count = int(np.prod(shape, dtype=np.int64))
    if not count:
        return np.empty(shape, dtype)
    memory: Any = (ctypes.c_char * (count * dtype.itemsize)).from_address(buffer.data)
    array: Array = np.frombuffer(memory, dtype).reshape(shape)
    return array


def _error(api: Any, message: str) -> int | None:
    text = message.encode()
    given = _ErrorArguments(ctypes.sizeof(_ErrorArguments), None, text, _INTERNAL)
    made: int | None = api.create_error(ctypes.byref(given))
    return made
