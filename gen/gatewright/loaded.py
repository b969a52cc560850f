"""Spec or name -> LoadedCell: the door through which Python programs use a cell.

A LoadedCell shows itself (`repr`, LaTeX, HTML), makes parameters and states as plain dicts of
arrays by the spec's names, and compiles kernels for a target and a precision.

Why a thin object over the stages: everything it does is one call of a stage's function, so what a
notebook shows and what the command line prints cannot differ.
"""

from __future__ import annotations

import html
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewright.language.cell import Cell, declared
from gatewright.program.options import GRADIENT, ReverseOptions
from gatewright.runtime.validate import ArgumentError, Array, checked_size

if TYPE_CHECKING:
    from gatewright.program.compile import Programs
    from gatewright.runtime.kernels import Kernels

KERNEL_TARGETS = ("cpu", "cuda", "reference")


def load(cell: str | PathLike[str], **settings: str | float) -> LoadedCell:
    """Return a cell of the catalogue by name, or one of your own by the path of its YAML file.

    `settings` give other values to the cell's constants (`beta=0.5`) and choices
    (`activation="relu"`). Raises SpecError, which shows the place, if the spec has a mistake, and
    ArgumentError for a setting that is neither a number nor a name.
    """
    from gatewright.language import catalogue

    choices = {name: value for name, value in settings.items() if isinstance(value, str)}
    constants = {n: _number(n, value) for n, value in settings.items() if n not in choices}
    return LoadedCell(catalogue.load(str(cell), choices=choices, constants=constants))


def _number(name: str, value: object) -> float:
    if not isinstance(value, Real):
        raise ArgumentError(f"`{name}` must be a number, or a name; got {value!r}")
    return float(value)


def _positive(name: str, value: object) -> float:
    if not isinstance(value, Real) or not 0.0 < float(value) < float("inf"):
        raise ArgumentError(f"`{name}` must be a positive number; got {value!r}")
    return float(value)


@dataclass(frozen=True)
class LoadedCell:
    """A cell ready to be used; `cell` is what the language stage knows of it.

    `reverse` is what is asked of its reverse beyond the gradients of outputs and final states.
    """

    cell: Cell
    reverse: ReverseOptions = GRADIENT

    @cached_property
    def programs(self) -> Programs:
        """The forward Program and its reverse."""
        from gatewright.program.compile import compile_cell

        return compile_cell(self.cell, self.reverse)

    def with_reverse(self, *, every_state: bool = False, clip: float | None = None) -> LoadedCell:
        """Return the cell whose kernels' `backward` does more.

        With `every_state` it takes cotangents of every state at every step, `ct_states`. With
        `clip`, what one step hands to the step before lies within plus or minus `clip`: no gradient
        then, but it cannot explode. Raises ArgumentError if `clip` is not a positive number.
        """
        bound = None if clip is None else _positive("clip", clip)
        return LoadedCell(self.cell, ReverseOptions(bool(every_state), bound))

    def __repr__(self) -> str:
        return str(self.cell)

    def _repr_latex_(self) -> str:
        from gatewright.language.latex import cell_latex

        return f"$$\n{cell_latex(self.cell)}\n$$"

    def _repr_html_(self) -> str:
        from gatewright.language.mathml import cell_mathml

        cell = self.cell
        groups = (
            ("inputs", cell.inputs),
            ("states", cell.states),
            ("parameters", cell.parameters),
        )
        rows = "".join(
            f"<tr><th style='text-align: left'>{heading}</th>"
            f"<td style='text-align: left'>{html.escape(declared(variables))}</td></tr>"
            for heading, variables in groups
        )
        title = html.escape(f"{cell.identifier}: {cell.title}")
        return f"<p><b>{title}</b></p>{cell_mathml(cell)}<table>{rows}</table>"

    def init(self, *, seed: int = 0, dtype: str = "float32", **sizes: int) -> dict[str, Array]:
        """Return new parameters for the given sizes, such as `init(input=3, hidden=4)`.

        Every entry is drawn evenly from plus or minus 1 / sqrt(hidden), as PyTorch does; a
        parameter's numbers depend on the seed, its own name and its shape alone. Raises
        ArgumentError if a size is missing, unknown or not positive.
        """
        known = self._sizes(sizes)
        widest = [known[dim] for state in self.cell.states for dim in state.dims]
        bound = 1.0 / np.sqrt(widest[0])
        found = {}
        for variable in self.cell.parameters:
            stream = np.random.default_rng([seed, zlib.crc32(variable.name.encode())])
            shape = tuple(known[dim] for dim in variable.dims)
            found[variable.name] = np.asarray(stream.uniform(-bound, bound, shape), real(dtype))
        return found

    def zero_state(self, *, batch: int, dtype: str = "float32", **sizes: int) -> dict[str, Array]:
        """Return all states as zeros [batch, dim], such as `zero_state(batch=2, hidden=4)`."""
        rows = int(batch)
        dims = {dim for state in self.cell.states for dim in state.dims}
        known = {dim: checked_size(dim, size) for dim, size in sizes.items() if dim in dims}
        if missing := sorted(dims - set(known)):
            raise ArgumentError(f"give a size for {', '.join(missing)}")
        return {
            state.name: np.zeros((rows, *(known[dim] for dim in state.dims)), real(dtype))
            for state in self.cell.states
        }

    def source(self, target: str = "cpu") -> str:
        """Return the text of the generated file for `cpu` or `cuda`."""
        from gatewright.emit.source import TARGETS, emit

        if target not in TARGETS:
            raise ArgumentError(f"`target` must be one of {', '.join(TARGETS)}; got {target!r}")
        if target not in self._texts:
            self._texts[target] = emit(self.programs, TARGETS[target]).text
        return self._texts[target]

    @cached_property
    def _texts(self) -> dict[str, str]:
        """The texts that were asked for, by target: printing one takes longer than a short run."""
        return {}

    def compile(
        self, target: str = "cpu", dtype: str = "float32", threads: int | None = None
    ) -> Kernels:
        """Return the kernels for a target (`cpu`, `cuda`, `reference`) and precision.

        CPU kernels use up to `threads` threads: GATEWRIGHT_THREADS, or all processors, if None.
        `reference` interprets the Programs with NumPy: slow, and right by reading.
        """
        dtype = real(dtype).name
        constants = {constant.name: constant.value for constant in self.cell.constants}
        if target == "reference":
            from gatewright.verify.reference import ReferenceKernels

            return ReferenceKernels(self.programs, dtype, constants)
        if target == "cuda":
            from gatewright.runtime.cuda.kernels import CudaKernels

            return CudaKernels(self.source(target), dtype, constants)
        from gatewright.runtime.kernels import HostMemory, Kernels
        from gatewright.runtime.load import load_module

        engine = None
        if target == "cpu" and threads is not None:
            from gatewright.runtime.cpu.plans import CpuEngine

            engine = CpuEngine(checked_size("threads", threads))
        module = load_module(self.source(target), target, dtype)
        return Kernels(module, HostMemory(), constants, engine)

    def _sizes(self, sizes: Mapping[str, Any]) -> dict[str, int]:
        dims = self.cell.dims
        if unknown := [name for name in sizes if name not in dims]:
            raise ArgumentError(f"no dimension `{unknown[0]}`; this cell has {', '.join(dims)}")
        if missing := [dim for dim in dims if dim not in sizes]:
            raise ArgumentError(f"give a size for {', '.join(missing)}")
        return {dim: checked_size(dim, sizes[dim]) for dim in dims}


def real(dtype: object) -> np.dtype[Any]:
    """Return a precision that cells are computed in, given in any of NumPy's words.

    Raises ArgumentError for another.
    """
    known = dtype in ("float32", "float64", np.float32, np.float64)
    if not known:
        raise ArgumentError(f"`dtype` must be float32 or float64; got {dtype!r}")
    found: np.dtype[Any] = np.dtype(dtype)  # type: ignore[call-overload]
    return found
