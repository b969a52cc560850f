"""Memory words of kernels for the compiler: vectors and copies of four numbers, and counters.

Importing needs numba-cuda. Four neighbours are one LLVM vector, aligned to 16 bytes, so that one
instruction moves them.

Why a release and an acquire of our own and not the grid barrier of the CUDA toolkit: that one waits
for all blocks where only those that share rows must meet, and links 200 KB of device code.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from gatewright.runtime.cuda.numba_cuda import numba_cuda

types = numba_cuda().types
_extending: Any = importlib.import_module("numba.cuda.extending")
_typing: Any = importlib.import_module("numba.cuda.typing")
_arrays: Any = importlib.import_module("numba.cuda.np.arrayobj")
signature = _typing.signature
_I32, _I64 = ir.IntType(32), ir.IntType(64)
# The address space of shared memory.
_SHARED = 3


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function whose code a function of its own builds, by the types of its arguments."""
    made: Callable[..., Any] = _extending.intrinsic(function)
    return made


def _register(name: str, text: str) -> Any:
    @intrinsic
    def read(typingctx: Any) -> Any:
        def made(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            function = ir.FunctionType(_I32, ())
            called = builder.module.globals.get(name) or ir.Function(builder.module, function, name)
            return builder.call(called, ())

        return signature(types.int32), made

    read.__doc__ = text
    return read


_SPECIAL = "llvm.nvvm.read.ptx.sreg"
thread_number = _register(f"{_SPECIAL}.tid.x", "Return the number of this thread in its block.")
member_number = _register(
    f"{_SPECIAL}.ctaid.x", "Return the number of this block among those that share its rows."
)
group_number = _register(
    f"{_SPECIAL}.ctaid.y", "Return the number of the group of blocks that share rows."
)


def _element(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Return the address of an element of a pointer or of an array in shared memory."""
    data = array if isinstance(kind, types.CPointer) else (
        _arrays.make_array(kind)(context, builder, array).data
    )  # fmt: skip
    return builder.gep(data, [index])


@intrinsic
def put_one(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write a number to shared memory, or to an array."""

    def made(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _element(context, builder, sig.args[0], args[0], args[1]))
        return context.get_dummy_value()

    return signature(types.void, array, types.int64, array.dtype), made


def _vector(context: Any, builder: Any, kind: Any, args: Any) -> Any:
    """Return the address of four neighbours as that of a vector."""
    vector = ir.VectorType(context.get_value_type(kind.dtype), 4)
    address = _element(context, builder, kind, args[0], args[1])
    return builder.bitcast(address, vector.as_pointer())


@intrinsic
def shared_four(typingctx: Any, array: Any, index: Any) -> Any:
    """Return four neighbours from a multiple of four on."""

    def made(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = _vector(context, builder, sig.args[0], args)
        loaded = builder.load(address)
        loaded.align = 16
        parts = [builder.extract_element(loaded, ir.Constant(_I32, k)) for k in range(4)]
        return context.make_tuple(builder, sig.return_type, parts)

    return signature(types.UniTuple(array.dtype, 4), array, types.int64), made


@intrinsic
def shared_one(typingctx: Any, array: Any, index: Any) -> Any:
    """Return a number of shared memory."""

    def made(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_element(context, builder, sig.args[0], *args))

    return signature(array.dtype, array, types.int64), made


def _same_bits(source: Any, target: Any) -> Any:
    @intrinsic
    def reinterpreted(typingctx: Any, value: Any) -> Any:
        """Return what the bits of a value are as another type of 32 bits."""

        def made(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(target))

        return signature(target, source), made

    return reinterpreted


as_word = _same_bits(types.float32, types.uint32)
as_real = _same_bits(types.uint32, types.float32)


@intrinsic
def copy_four(typingctx: Any, array: Any, index: Any, source: Any, first: Any) -> Any:
    """Begin to copy four neighbours to shared memory, from multiples of four on."""

    def made(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        target = _element(context, builder, sig.args[0], args[0], args[1])
        near = builder.addrspacecast(target, ir.PointerType(target.type.pointee, _SHARED))
        far = _element(context, builder, sig.args[2], args[2], args[3])
        addresses = [builder.ptrtoint(near, _I32), builder.ptrtoint(far, _I64)]
        bits: int = sig.args[0].dtype.bitwidth
        for at in range(0, bits // 2, 16):
            text = f"cp.async.cg.shared.global [$0+{at}], [$1+{at}], 16;"
            _assembly(builder, ir.VoidType(), text, "r,l,~{memory}", addresses)
        return context.get_dummy_value()

    return signature(types.void, array, types.int64, source, types.int64), made


@intrinsic
def copied(typingctx: Any) -> Any:
    """Wait until this thread's copies are done."""

    def made(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _assembly(builder, ir.VoidType(), "cp.async.wait_all;", "~{memory}", [])
        return context.get_dummy_value()

    return signature(types.void), made


def _assembly(
    builder: Any, result: Any, text: str, constraints: str, args: list[Any], effects: bool = True
) -> Any:
    function = ir.FunctionType(result, [arg.type for arg in args])
    assembly = ir.InlineAsm(function, text, constraints, side_effect=effects)
    # What a whole warp must execute at once may not move into or out of a branch.
    attributes = ("convergent",) if ".sync." in text else ()
    return builder.call(assembly, args, attrs=attributes)


@intrinsic
def release(typingctx: Any, counter: Any, index: Any) -> Any:
    """Add one to a counter, after all that the block did before its last `syncthreads`."""

    def made(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = builder.ptrtoint(_element(context, builder, sig.args[0], *args), _I64)
        text = "red.release.gpu.global.add.u32 [$0], 1;"
        _assembly(builder, ir.VoidType(), text, "l,~{memory}", [address])
        return context.get_dummy_value()

    return signature(types.void, counter, types.int64), made


@intrinsic
def acquired(typingctx: Any, counter: Any, index: Any) -> Any:
    """Return a counter; see all that was done before it was raised."""

    def made(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = builder.ptrtoint(_element(context, builder, sig.args[0], *args), _I64)
        text = "ld.acquire.gpu.global.u32 $0, [$1];"
        return _assembly(builder, _I32, text, "=r,l,~{memory}", [address])

    return signature(types.uint32, counter, types.int64), made


def _packing(kind: str) -> Any:
    @intrinsic
    def pack(typingctx: Any, low: Any, high: Any) -> Any:
        """Return two float32, rounded to 16 bits each, as one word."""

        def made(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            text = f"cvt.rn.{kind}x2.f32 $0, $2, $1;"
            return _assembly(builder, _I32, text, "=r,f,f", list(args), effects=False)

        return signature(types.uint32, types.float32, types.float32), made

    return pack


@intrinsic
def round_tf32(typingctx: Any, value: Any) -> Any:
    """Return a float32 rounded to the nearest of tf32, ties away from zero."""

    def made(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = _assembly(builder, _I32, "cvt.rna.tf32.f32 $0, $1;", "=r,f", list(args), False)
        return builder.bitcast(bits, ir.FloatType())

    return signature(types.float32, types.float32), made


def _tile_product(kind: str, depth: int) -> Any:
    real, tuple_of = types.float32, types.UniTuple(types.float32, 4)
    arguments = (types.uint32,) * 6 + (real,) * 4

    @intrinsic
    def product(
        typingctx: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, s: Any, t: Any, u: Any,
        v: Any,
    ) -> Any:  # fmt: skip
        """Return the product of two tiles of words plus a third tile."""

        def made(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            text = (
                f"mma.sync.aligned.m16n8k{depth}.row.col.f32.{kind}.{kind}.f32 {{$0,$1,$2,$3}}, "
                "{$4,$5,$6,$7}, {$8,$9}, {$10,$11,$12,$13};"
            )
            result = ir.LiteralStructType([ir.FloatType()] * 4)
            constraints = ",".join(["=f"] * 4 + ["r"] * 6 + ["f"] * 4)
            found = _assembly(builder, result, text, constraints, list(args), effects=False)
            parts = [builder.extract_value(found, k) for k in range(4)]
            return context.make_tuple(builder, sig.return_type, parts)

        return signature(tuple_of, *arguments), made

    return product


pack_bfloat16, pack_float16 = _packing("bf16"), _packing("f16")
tiles_bfloat16, tiles_float16 = _tile_product("bf16", 16), _tile_product("f16", 16)
tiles_tf32 = _tile_product("tf32", 8)
