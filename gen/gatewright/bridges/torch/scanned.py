"""Program -> a sequence as one loop of PyTorch's `scan`: for models that become ONNX.

`torch.onnx.export` makes an ONNX `Scan` of it, for any number of time steps and rows. It knows no
operators but PyTorch's own, and of plain operations it would write out every step.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gatewright.bridges.torch.eager import EagerSequence, _rows
from gatewright.language.closures import Values


def becomes_onnx() -> bool:
    """Tell whether `torch.onnx.export` traces what is run now."""
    # The second question imports modules, which costs a short sequence some of its time.
    return torch.compiler.is_compiling() and torch.onnx.is_in_onnx_export()


class ScannedSequence(EagerSequence):
    """A cell's forward Program as a function of tensors, its steps one loop; without gradients."""

    def _steps(self, values: Values, T: int, B: int) -> dict[str, Any]:
        slabs = [name for name in self.spread if values[name].dim() == 3]
        starts, ends = zip(*self.carried, strict=True)
        groups = ends, self.collected
        if not slabs:
            return super()._steps(values, T, B)

        def step(
            carried: Sequence[Tensor], given: Sequence[Tensor]
        ) -> tuple[list[Tensor], list[Tensor]]:
            now = {**values, **dict(zip((*starts, *slabs), (*carried, *given), strict=True))}
            for statement in self.sections["step"]:
                statement(now)
            rows = carried[0].shape[0]
            # Results of `scan` must not share memory.
            every = [[_rows(now[n], rows).clone() for n in names] for names in groups]
            return every[0], every[1]

        scan: Any = importlib.import_module("torch._higher_order_ops.scan").scan
        # Copies: of a learned initial state there is one row for all, of zeros one array for all.
        layout = torch.contiguous_format
        first = [values[name].clone(memory_format=layout) for name in starts]
        final, found = scan(step, first, [values[name] for name in slabs])
        return {**dict(zip(self.collected, found, strict=True)), "": tuple(final)}
