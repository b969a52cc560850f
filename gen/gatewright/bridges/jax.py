"""LoadedCell -> JAX: the cell as a pure function, and whole sequences by our CPU kernels.

    cell(loaded)       (params, carry, x) -> (carry, y), for lax.scan, jit, vmap, grad of any order
    sequence(loaded)   (params, carry, xs) -> (carry, ys), the same numbers from compiled kernels

`params` and `carry` are dicts by the spec's names: `loaded.init(...)` and `loaded.zero_state(...)`
make them, or a library does. Both are pytrees, so optimisers and modules take them as they are.

Why the derivative of a kernel's derivative is that of the pure cell: a second derivative by kernels
would be a third program to certify, and whoever asks for one gets the right number all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from gatewright.bridges.arguments import cell_of
from gatewright.bridges.equations import step
from gatewright.bridges.missing import missing
from gatewright.language.cell import Cell, Variable
from gatewright.loaded import LoadedCell
from gatewright.runtime.validate import ArgumentError, checked_dict, checked_size

try:
    import jax  # type: ignore[import-not-found, unused-ignore]
    import jax.numpy as jnp  # type: ignore[import-not-found, unused-ignore]
except ImportError as error:
    raise missing("jax", "jax") from error

from gatewright.bridges.jax_kernels import ROUTES, KernelCalls, supported, vary, varying

__all__ = ["LIBRARY", "cell", "sequence"]

Tree = dict[str, Any]
Step = Callable[[Mapping[str, Any], Mapping[str, Any], Any], tuple[Tree, Any]]


def cell(loaded: LoadedCell) -> Step:
    """Return a cell as a pure function of `jax.numpy`: (params, carry, x) -> (carry, y).

    x is [..., dim] (a dict of such arrays if the cell has several inputs), every state [..., dim]
    with the same leading axes, y [..., dim]; parameters have their declared shapes. A cell with a
    `clip` bounds what the step hands back to the one before, and has no forward mode. The function
    raises ArgumentError, when it is traced, if an array does not fit the cell.
    """
    known, clip = cell_of(loaded), loaded.reverse.clip
    equations = step(known, LIBRARY)
    constants = {constant.name: constant.value for constant in known.constants}
    width = known.shape_of(known.output)

    def one(params: Mapping[str, Any], carry: Mapping[str, Any], x: Any) -> tuple[Tree, Any]:
        parameters, states, inputs, sizes = _checked(known, params, carry, x, leading=None)
        if clip is not None:
            states = {name: _clipped(clip, state) for name, state in states.items()}
        values = {**constants, **parameters, **inputs, **states}
        y = equations(values)
        rows = next(iter(states.values())).shape[:-1]
        following = {
            name: jnp.broadcast_to(values[name], state.shape) for name, state in states.items()
        }
        return following, jnp.broadcast_to(y, (*rows, *(sizes.get(d, y.shape[-1]) for d in width)))

    return one


def sequence(loaded: LoadedCell, *, threads: int | None = None, route: str | None = None) -> Step:
    """Return a function that runs a whole sequence: (params, carry, xs) -> (carry, ys).

    xs is [T, B, dim], every state [B, dim], ys [T, B, dim], all float32 or all float64. `threads`
    limits our threads. `route` is how XLA reaches the kernels: `ffi`, its foreign function
    interface, or `callback`, where this jaxlib's interface is an untried version; `scan` is
    `lax.scan` over the pure cell, for other devices than a CPU. None takes the first that works.
    Reverse mode is by kernels, of any order by the pure cell. Raises ArgumentError for an unknown
    route, and, when traced, if an array does not fit the cell.
    """
    known = cell_of(loaded)
    if threads is not None:
        checked_size("threads", threads)
    if route is None:
        usual = "ffi" if supported() else "callback"
        route = usual if jax.default_backend() == "cpu" else "scan"
    if route not in ROUTES or (route == "ffi" and not supported()):
        possible = [each for each in ROUTES if each != "ffi" or supported()]
        raise ArgumentError(f"`route` must be one of {', '.join(possible)}; got {route!r}")
    one = cell(loaded)

    def scan(params: Mapping[str, Any], carry: Tree, xs: Any) -> tuple[Tree, Any]:
        found: tuple[Tree, Any] = jax.lax.scan(lambda state, x: one(params, state, x), carry, xs)
        return found

    if route == "scan":
        run: Callable[..., tuple[Tree, Any]] = scan
    else:
        run = _differentiable(KernelCalls(loaded, threads, route), scan)

    def whole(params: Mapping[str, Any], carry: Mapping[str, Any], xs: Any) -> tuple[Tree, Any]:
        parameters, states, inputs, _ = _checked(known, params, carry, xs, leading=("T", "B"))
        only = inputs if len(inputs) > 1 else next(iter(inputs.values()))
        return run(*_varying_alike((parameters, states, only)))

    return whole


def _differentiable(
    calls: KernelCalls, scan: Callable[..., tuple[Tree, Any]]
) -> Callable[..., tuple[Tree, Any]]:
    """Return kernels with their reverse; the reverse of the reverse is that of `scan`."""

    @jax.custom_vjp
    def pull(
        params: Tree, carry: Tree, xs: Any, kept: Tree, ct: tuple[Tree, Any]
    ) -> tuple[Tree, Tree, Any]:
        return calls.backward(params, carry, xs, kept, ct)

    def pull_forward(*given: Any) -> tuple[Any, Any]:
        return pull(*given), given

    def pull_backward(given: Any, ct: Any) -> tuple[Any, ...]:
        params, carry, xs, kept, cts = given

        def plain(params: Tree, carry: Tree, xs: Any, cts: Any) -> Any:
            return jax.vjp(scan, params, carry, xs)[1](cts)

        *found, found_cts = jax.vjp(plain, params, carry, xs, cts)[1](ct)
        # What was kept depends on the other arguments, through which its derivative is counted.
        return *found, jax.tree.map(jnp.zeros_like, kept), found_cts

    pull.defvjp(pull_forward, pull_backward)

    @jax.custom_vjp
    def keep(params: Tree, carry: Tree, xs: Any) -> tuple[tuple[Tree, Any], Tree]:
        return calls.forward(params, carry, xs, keep=True)

    def keep_forward(*given: Any) -> tuple[Any, Any]:
        found = keep(*given)
        return found, (*given, found[1])

    def keep_backward(given: Any, ct: Any) -> Any:
        return pull(*given, ct[0])

    keep.defvjp(keep_forward, keep_backward)

    @jax.custom_vjp
    def run(params: Tree, carry: Tree, xs: Any) -> tuple[Tree, Any]:
        return calls.forward(params, carry, xs, keep=False)[0]

    def run_forward(*given: Any) -> tuple[Any, Any]:
        found, kept = keep(*given)
        return found, (*given, kept)

    run.defvjp(run_forward, lambda given, ct: pull(*given, ct))
    return run  # type: ignore[no-any-return, unused-ignore]


def _checked(
    known: Cell, params: object, carry: object, x: object, leading: tuple[str, ...] | None
) -> tuple[Tree, Tree, Tree, dict[str, int]]:
    """Return parameters, states, inputs and sizes; x has the leading axes, states the last of them.

    Raises ArgumentError, in the kernels' own words, for names, dtypes and shapes that do not fit.
    """
    sizes: dict[str, int] = {}
    names = tuple(each.name for each in known.inputs)
    given = x if isinstance(x, Mapping) or len(names) > 1 else {names[0]: x}
    parameters = _fitting("parameters", known.parameters, params, (), sizes)
    rows: tuple[str, ...]
    if leading is None:
        arrays = list(carry.values()) if isinstance(carry, Mapping) else []
        axes = max(len(getattr(arrays[0], "shape", ())) - 1, 0) if arrays else 0
        rows = tuple(f"axis {k}" for k in range(axes))
        leading = rows
    else:
        rows = leading[1:]
    states = _fitting("states", known.states, carry, rows, sizes)
    inputs = _fitting("inputs", known.inputs, given, leading, sizes)
    kinds = {
        name: array.dtype for each in (parameters, states, inputs) for name, array in each.items()
    }
    first = next(iter(kinds))
    for name, dtype in kinds.items():
        if dtype != kinds[first] or not jnp.issubdtype(dtype, jnp.floating):
            wanted = kinds[first] if jnp.issubdtype(kinds[first], jnp.floating) else "float32"
            raise ArgumentError(f"`{name}` must have dtype {wanted}; got {dtype}")
    return parameters, states, inputs, sizes


def _varying_alike(tree: Any) -> Any:
    """Return arrays that vary over the same axes of a mesh, inside `jax.shard_map`.

    A parameter that all devices share has a gradient which is the sum of theirs: the reverse of
    being told apart here.
    """
    axes = frozenset[str]().union(*map(varying, jax.tree.leaves(tree)))
    return jax.tree.map(lambda each: vary(each, axes), tree)


def _fitting(
    kind: str,
    variables: tuple[Variable, ...],
    given: object,
    leading: tuple[str, ...],
    sizes: dict[str, int],
) -> Tree:
    """Return arrays by name, and note the sizes of their dimensions. Raises ArgumentError."""
    arrays = checked_dict(kind, given, tuple(each.name for each in variables))
    found = {}
    for variable in variables:
        name, dims = variable.name, (*leading, *variable.dims)
        array = _array(name, arrays[name])
        wanted = [sizes.get(dim, dim) for dim in dims]
        fits = len(wanted) == array.ndim and all(
            isinstance(size, str) or size == got
            for size, got in zip(wanted, array.shape, strict=True)
        )
        if not fits:
            text = ", ".join(map(str, wanted))
            raise ArgumentError(f"`{name}` must have shape [{text}]; got {list(array.shape)}")
        sizes.update(zip(dims, array.shape, strict=True))
        found[name] = array
    return found


def _array(name: str, given: object) -> Any:
    try:
        return jnp.asarray(given)
    except (TypeError, ValueError):
        kind = type(given).__name__
        raise ArgumentError(f"`{name}` must be an array of numbers; got {kind}") from None


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _clipped(clip: float, value: Any) -> Any:
    """Return the value; every entry of its cotangent is kept within plus or minus `clip`."""
    return value


_clipped.defvjp(
    lambda clip, value: (value, None),
    lambda clip, _, ct: (jnp.clip(ct, -clip, clip),),
)


def _hard_tanh(x: Any) -> Any:
    """Clip to [-1, 1], with no derivative at the ends, as the kernels have it."""
    return jnp.where(jnp.abs(x) < 1, x, jnp.sign(x))


LIBRARY: dict[str, Callable[..., Any]] = {
    "@": lambda matrix, rows: jnp.matmul(rows, matrix.T),
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "exp": jnp.exp,
    "log": jnp.log,
    "sqrt": jnp.sqrt,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "softplus": jax.nn.softplus,
    "silu": jax.nn.silu,
    "softsign": jax.nn.soft_sign,
    "hard_tanh": _hard_tanh,
    "abs": jnp.abs,
    "max": jnp.maximum,
    "min": jnp.minimum,
}
