"""LoadedCell -> calls of its CPU kernels inside JAX programs: forward, and the reverse.

A call takes and returns JAX arrays and may be traced. XLA runs it through its foreign function
interface, with our arrays over XLA's own memory, or through `jax.pure_callback`, which copies.

Why targets are named after the generated code: JAX may keep compiled programs on disk, and a name
that meant another cell in the next process would compute that cell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

import jax  # type: ignore[import-not-found, unused-ignore]
import numpy as np

from gatewright.bridges import xla_ffi
from gatewright.bridges.jax_batching import by_rows
from gatewright.bridges.xla_ffi import Function
from gatewright.loaded import LoadedCell
from gatewright.runtime.kernels import Kernels
from gatewright.runtime.validate import ArgumentError, Array

ROUTES = ("ffi", "callback", "scan")
FORWARD, FORWARD_KEPT, BACKWARD = "forward", "forward_kept", "backward"
Tree = dict[str, Any]
Shape = tuple[int, ...]
# The handlers that XLA was told of, by the name of their target: it may call them at any time.
_TARGETS: dict[str, Any] = {}


@cache
def supported() -> bool:
    """Tell whether this jaxlib's foreign function interface is a version that was tried."""
    return _version() in xla_ffi.TRIED


def _version() -> tuple[int, int] | None:
    interface = getattr(jax, "ffi", None)
    return xla_ffi.version(interface.include_dir()) if interface else None


class KernelCalls:
    """The kernels of one cell as functions of JAX arrays; compiled when first traced."""

    def __init__(self, loaded: LoadedCell, threads: int | None, route: str) -> None:
        self._loaded = loaded
        self._threads = threads
        self._route = route
        self._known: dict[tuple[str, str], tuple[Kernels, Function, str]] = {}
        self._mapped = {keep: by_rows(partial(self._forward, keep=keep)) for keep in (False, True)}

    def forward(
        self, params: Tree, carry: Tree, xs: Any, *, keep: bool
    ) -> tuple[tuple[Tree, Any], Tree]:
        """Return final states and outputs [T, B, dim], and with `keep` what the reverse reads."""
        found: tuple[tuple[Tree, Any], Tree] = self._mapped[keep](params, carry, xs)
        return found

    def _forward(
        self, params: Tree, carry: Tree, xs: Any, *, keep: bool
    ) -> tuple[tuple[Tree, Any], Tree]:
        cell = self._loaded.cell
        kernels, run, target = self._routine(FORWARD_KEPT if keep else FORWARD, carry)
        sizes = self._sizes(params, xs)
        shapes: dict[str, Shape] = {each.name: carry[each.name].shape for each in cell.states}
        y = tuple(sizes[dim] for dim in ("T", "B", *kernels.layout.output_dims))
        kept = kernels.kept_shapes(sizes) if keep else {}
        found = self._call(
            (run, target), self._listed(params, carry, xs), [*shapes.values(), y, *kept.values()]
        )
        final = dict(zip(shapes, found, strict=False))
        return (final, found[len(shapes)]), dict(zip(kept, found[len(shapes) + 1 :], strict=True))

    def backward(
        self, params: Tree, carry: Tree, xs: Any, kept: Tree, ct: tuple[Tree, Any]
    ) -> tuple[Tree, Tree, Any]:
        """Return the cotangents of parameters, initial states and inputs."""
        cell = self._loaded.cell
        kernels, run, target = self._routine(BACKWARD, carry)
        final, ct_y = ct
        names = kernels.kept_shapes(self._sizes(params, xs))
        given = self._listed(params, final, xs)
        primals = self._listed(params, carry, xs)
        found = self._call(
            (run, target),
            [*given, ct_y, *(kept[name] for name in names)],
            [each.shape for each in primals],
        )
        P, S = len(cell.parameters), len(cell.states)
        inputs = {v.name: array for v, array in zip(cell.inputs, found[P + S :], strict=True)}
        return (
            {v.name: array for v, array in zip(cell.parameters, found, strict=False)},
            {v.name: array for v, array in zip(cell.states, found[P:], strict=False)},
            inputs if isinstance(xs, Mapping) else next(iter(inputs.values())),
        )

    def _call(
        self, routine: tuple[Function, str], arguments: list[Any], shapes: list[Shape]
    ) -> list[Any]:
        run, target = routine
        dtype, axes = arguments[0].dtype, varying(arguments[0])
        results = [_described(shape, dtype) for shape in shapes]

        def called(*given: Any) -> list[Array]:
            found = [np.empty(each.shape, each.dtype) for each in results]
            run([np.require(each, requirements=("C", "A", "W")) for each in given], found)
            return found

        if self._route == "ffi":
            found = jax.ffi.ffi_call(target, results, vmap_method="sequential")(*arguments)
        else:
            found = jax.pure_callback(called, results, *arguments, vmap_method="sequential")
        # What comes back says nothing of the mesh; it differs where the arguments do.
        return [vary(each, axes) for each in found]

    def _routine(self, direction: str, carry: Tree) -> tuple[Kernels, Function, str]:
        """Return kernels, the function that runs one direction of them, and its target's name."""
        dtype = str(next(iter(carry.values())).dtype)
        if dtype not in ("float32", "float64"):
            raise ArgumentError(f"kernels compute in float32 and float64; got {dtype}")
        if (direction, dtype) not in self._known:
            kernels = self._loaded.compile("cpu", dtype, self._threads)
            text = f"{self._loaded.source('cpu')}{self._loaded.cell!r}{self._threads}{dtype}"
            digest = hashlib.sha256(text.encode()).hexdigest()[:20]
            target = f"gatewright_{self._loaded.cell.identifier}_{direction}_{digest}"
            run = _backward(kernels) if direction == BACKWARD else _forward(kernels, direction)
            if self._route == "ffi":
                _register(target, run)
            self._known[direction, dtype] = kernels, run, target
        return self._known[direction, dtype]

    def _sizes(self, params: Tree, xs: Any) -> dict[str, int]:
        """Return T, B and the cell's dimensions, in the order that kernels remember plans by."""
        cell, sizes = self._loaded.cell, dict[str, int]()
        for variable in cell.parameters:
            sizes.update(zip(variable.dims, params[variable.name].shape, strict=True))
        inputs = xs if isinstance(xs, Mapping) else {cell.inputs[0].name: xs}
        for variable in cell.inputs:
            sizes.update(zip(("T", "B", *variable.dims), inputs[variable.name].shape, strict=True))
        return sizes

    def _listed(self, params: Tree, states: Tree, xs: Any) -> list[Any]:
        cell = self._loaded.cell
        inputs = xs if isinstance(xs, Mapping) else {cell.inputs[0].name: xs}
        return [
            *(params[each.name] for each in cell.parameters),
            *(states[each.name] for each in cell.states),
            *(inputs[each.name] for each in cell.inputs),
        ]


def _register(target: str, run: Function) -> None:
    """Tell XLA of a target, once: what goes by the same name computes the same."""
    speaks = _version()
    if target not in _TARGETS and speaks is not None:
        _TARGETS[target] = xla_ffi.handler(run, speaks)
        pointer = jax.ffi.pycapsule(_TARGETS[target])  # type: ignore[no-untyped-call, unused-ignore]
        jax.ffi.register_ffi_target(target, pointer, platform="cpu")


def varying(array: Any) -> frozenset[str]:
    """Return the axes of a mesh over which an array varies, inside `jax.shard_map`."""
    kind = getattr(jax, "typeof", lambda _: None)(array)
    # A set of its own in older versions.
    newer = getattr(getattr(kind, "manual_axis_type", None), "varying", None)
    found: frozenset[str] = newer or getattr(kind, "vma", None) or frozenset()
    return found


def vary(array: Any, axes: frozenset[str]) -> Any:
    """Return an array as one that varies over these axes of a mesh too."""
    more = tuple(axes - varying(array))
    if not more:
        return array
    if hasattr(jax.lax, "pcast"):
        return jax.lax.pcast(array, more, to="varying")
    # Its name before.
    return getattr(jax.lax, "pvary")(array, more)  # noqa: B009


def _described(shape: Shape, dtype: Any) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call, unused-ignore]


def _forward(kernels: Kernels, direction: str) -> Function:
    """Return what fills final states, outputs and what is kept, for parameters, states, inputs."""
    keep = direction == FORWARD_KEPT

    def run(arguments: Sequence[Array], results: Sequence[Array]) -> None:
        parameters, states, inputs, _ = _split(kernels, arguments)
        found = kernels.forward(parameters, inputs, states, keep=keep)
        values = [*(found.state[name] for name in kernels.layout.states), found.y]
        if found.kept is not None:
            names = kernels.kept_shapes(found.sizes)
            values += [found.kept[name] for name in names]
        for result, value in zip(results, values, strict=True):
            result[...] = value

    return run


def _backward(kernels: Kernels) -> Function:
    """Return what fills all cotangents, for parameters, cotangents of states, inputs, what else.

    That is the cotangent of the outputs and what the forward run kept.
    """

    def run(arguments: Sequence[Array], results: Sequence[Array]) -> None:
        parameters, states, inputs, (ct_y, *kept) = _split(kernels, arguments)
        x = next(iter(inputs.values()))
        sizes = {"T": x.shape[0], "B": x.shape[1]}
        for name, dims in kernels.layout.parameters.items():
            sizes.update(zip(dims, parameters[name].shape, strict=True))
        for name, dims in kernels.layout.inputs.items():
            sizes.update(zip(dims, inputs[name].shape[2:], strict=True))
        names = kernels.kept_shapes(sizes)
        revived = kernels.revived(parameters, {**inputs, **dict(zip(names, kept, strict=True))})
        found = kernels.backward(revived, ct_y, states)
        d_inputs = found.x if isinstance(found.x, Mapping) else {next(iter(inputs)): found.x}
        values = [found.parameters[name] for name in kernels.layout.parameters]
        values += [found.state[name] for name in kernels.layout.states]
        values += [d_inputs[name] for name in kernels.layout.inputs]
        for result, value in zip(results, values, strict=True):
            result[...] = value

    return run


def _split(
    kernels: Kernels, arguments: Sequence[Array]
) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array], list[Array]]:
    """Return arguments as parameters, states and inputs by name, and what comes after these."""
    layout, left = kernels.layout, list(arguments)

    def taken(names: Mapping[str, Any]) -> dict[str, Array]:
        return {name: left.pop(0) for name in names}

    return taken(layout.parameters), taken(layout.states), taken(layout.inputs), left
