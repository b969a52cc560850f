"""Layout -> what the operators take and return: names, order, shapes.

`given` are inputs [T, B, dim], initial states [B, dim] and parameters, in the cell's order. A
caller sees the output, the final states, and the states of every step whose cotangents the reverse
takes; `kept` are the arrays that the reverse reads beside those that are seen, columns of one array
as one. On a GPU what a caller sees stands `apart` from what is kept: to find what stands before an
output in memory there, the processor would have to wait for the GPU.

Why shapes come from the runtime's own storage rules: tracing then promises what the kernels do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any, NamedTuple

from torch import Tensor

from gatewright.runtime.cotangents import EVERY
from gatewright.runtime.layout import Layout
from gatewright.runtime.sizes import checked_sizes
from gatewright.runtime.storage import FORWARD, storage
from gatewright.runtime.validate import ArgumentError, Array

Tensors = tuple[Tensor, ...]
Sizes = dict[str, Any]
Shapes = tuple[Any, ...]
# The sizes of so many different calls are remembered.
REMEMBERED = 1024


class Reversed(NamedTuple):
    """What the reverse is given, tensors or shapes: cotangents of results, and the forward's own.

    `seen` are the output and the states of every step, of states the initial one may stand before
    them; a cotangent may be None.
    """

    cotangents: tuple[Any, ...]
    given: tuple[Any, ...]
    seen: tuple[Any, ...]
    kept: tuple[Any, ...]


@dataclass(frozen=True)
class Contract:
    """The arguments and results of a layout's operators."""

    layout: Layout
    apart: bool = False

    @cached_property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """The dimensions of everything given, by name, time and batch left out."""
        return {**self.layout.inputs, **self.layout.states, **self.layout.parameters}

    @cached_property
    def states(self) -> dict[str, int]:
        """The names of the states, and where among everything given each of them begins."""
        return {name: k for k, name in enumerate(self.dims) if name in self.layout.states}

    @cached_property
    def every(self) -> tuple[str, ...]:
        """The names of the states whose values of every step are results."""
        return tuple(name for name in self.states if f"{EVERY}{name}" in self.layout.cotangents)

    @cached_property
    def seen(self) -> dict[str, int]:
        """The arrays that a caller sees a part of, each with the slab at which it begins."""
        return {} if self.apart else self.slabs

    @cached_property
    def slabs(self) -> dict[str, int]:
        """The arrays of the results with a time axis, each with the slab at which it begins."""
        name, slab = self.layout.output
        return {name: slab, **dict.fromkeys(self.every, 1)}

    @cached_property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """What each of the arrays that are kept consists of: names of columns, or its own."""
        shapes = self._named(dict.fromkeys(("T", "B", *self.layout.dims), 1))
        stacks = [s for s in self.layout.stacks.get(FORWARD, ()) if all(n in shapes for n in s)]
        stacked = {name for stack in stacks for name in stack}
        found = [*((name,) for name in shapes if name not in stacked), *stacks]
        read = [s for s in found if not self.apart or any(n in self.layout.reverse for n in s)]
        return {", ".join(names): names for names in read}

    @cached_property
    def final(self) -> int:
        """How many of the results are the output and the final states."""
        return 1 + len(self.states)

    @cached_property
    def results(self) -> int:
        """How many results a caller sees."""
        return self.final + len(self.every)

    @cached_property
    def kept(self) -> tuple[str, ...]:
        """The names of what a run keeps beside what a caller sees."""
        return tuple(name for name in self.columns if name not in self.seen)

    @cached_property
    def cotangents(self) -> dict[str, tuple[int, int]]:
        """The cotangents of every step: each with its place among them all and in what is seen."""
        every = {f"{EVERY}{name}": (self.final + k, 1 + k) for k, name in enumerate(self.every)}
        return {"ct_y": (0, 0), **every}

    def groups(self, arrays: Sequence[Array]) -> list[dict[str, Array]]:
        """Return inputs, initial states and parameters by name."""
        found, first = [], 0
        for group in (self.layout.inputs, self.layout.states, self.layout.parameters):
            last = first + len(group)
            found.append(dict(zip(group, arrays[first:last], strict=True)))
            first = last
        return found

    @cached_property
    def fitted(self) -> Callable[[Shapes], Sizes]:
        """What returns all sizes, from shapes of what is given; remembered by these.

        Raises ArgumentError for one that does not fit: kernels index without bounds checks.
        """
        return lru_cache(REMEMBERED)(partial(checked_sizes, self.layout))

    @cached_property
    def fitted_reverse(self) -> Callable[[Shapes], Sizes]:
        """What returns all sizes, from shapes of all that the reverse is given; remembered too."""
        return lru_cache(REMEMBERED)(self._fitted_reverse)

    def _fitted_reverse(self, shapes: Shapes) -> Sizes:
        cotangents, given, seen, kept = self.split(shapes)
        sizes = checked_sizes(self.layout, given)
        lasting = self._lasting(sizes)
        y, *states = every = self._every(sizes)
        final = [(sizes["B"], *(sizes[d] for d in dims)) for dims in self.layout.states.values()]
        wanted = [y, *final, *states, *every[: len(self.seen)]]
        wanted += [lasting[name] for name in self.kept]
        wholes = [None] * self.results + [lasting[name] for name in self.seen]
        wholes += [None] * len(self.kept)
        all_found = enumerate(zip((*cotangents, *seen, *kept), wanted, wholes, strict=True))
        for k, (found, shape, whole) in all_found:
            if found is not None and tuple(found) not in (shape, whole):
                what = f"cotangent {k}" if k < self.results else f"kept array {k - self.results}"
                raise ArgumentError(f"{what} must have shape {list(shape)}; got {list(found)}")
        return sizes

    def symbols(self, given: Sequence[Tensor]) -> Sizes:
        """Return T, B and every dimension; symbolic where the tensors' own sizes are."""
        found: Sizes = {"T": given[0].shape[0], "B": given[0].shape[1]}
        for dims, tensor in zip(self.dims.values(), given, strict=True):
            found.update(zip(reversed(dims), reversed(tensor.shape), strict=False))
        return found

    @cached_property
    def reversed(self) -> int:
        """How many tensors the reverse is given."""
        return self.results + len(self.dims) + len(self.seen) + len(self.kept)

    def split(self, tensors: Sequence[Any]) -> Reversed:
        """Return the tensors of the reverse in their groups."""
        first, last = self.results, self.results + len(self.dims)
        end = last + len(self.seen)
        given, seen = tuple(tensors[first:last]), tuple(tensors[last:end])
        return Reversed(tuple(tensors[:first]), given, seen, tuple(tensors[end:]))

    def saved(self, results: Tensors) -> Tensors:
        """Return what the reverse reads of the results of a run that kept it: `seen`, `kept`."""
        seen = () if self.apart else (results[0], *results[self.final : self.results])
        return (*seen, *results[self.results :])

    def traced(self, given: Sequence[Tensor], keep: bool) -> Tensors:
        """Return empty tensors with the shapes, strides and offsets of the forward's results."""
        sizes, new = self.symbols(given), given[0].new_empty
        final = [
            new((sizes["B"], *(sizes[d] for d in dims))) for dims in self.layout.states.values()
        ]
        if keep == self.apart:
            y, *states = map(new, self._every(sizes))
        else:
            whole = self._named(sizes)
            parts = (new(whole[n]).narrow(0, slab, sizes["T"]) for n, slab in self.slabs.items())
            y, *states = parts
        lasting = self._lasting(sizes)
        kept = (new(lasting[each]) for each in self.kept) if keep else ()
        return (y, *final, *states, *kept)

    def traced_reverse(self, inputs: bool, states: bool, tensors: Sequence[Any]) -> Tensors:
        """Return empty tensors with the shapes of the reverse's results."""
        pairs = zip(self.split(tensors).given, self.wanted(inputs, states), strict=True)
        return tuple(each.new_empty(each.shape if wanted else 0) for each, wanted in pairs)

    def wanted(self, inputs: bool, states: bool) -> tuple[bool, ...]:
        """Tell of everything given whether somebody wants its gradient."""
        counts = (len(self.layout.inputs), len(self.layout.states), len(self.layout.parameters))
        flags = zip((inputs, states, True), counts, strict=True)
        return tuple(flag for flag, count in flags for _ in range(count))

    def _every(self, sizes: Sizes) -> list[tuple[Any, ...]]:
        """Return the shapes of the results with a time axis."""
        dims = [self.layout.output_dims, *(self.layout.states[name] for name in self.every)]
        return [(sizes["T"], sizes["B"], *(sizes[dim] for dim in each)) for each in dims]

    def _lasting(self, sizes: Sizes) -> dict[str, tuple[Any, ...]]:
        """Return the shapes of what a run keeps, by the names of `columns`."""
        shapes = self._named(sizes)
        found = {}
        for key, names in self.columns.items():
            first, *others = (shapes[name] for name in names)
            found[key] = (*first[:-1], sum((each[-1] for each in others), first[-1]))
        return found

    def _named(self, sizes: Sizes) -> dict[str, tuple[Any, ...]]:
        return storage(self.layout, FORWARD, sizes, True, 1).lasting
