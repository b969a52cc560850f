"""Name -> Job: the examples, and how one is begun.

Why a seed of its own for the model: its first parameters are then the same however many random
numbers were drawn before.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch

from gatewright.examples import adding, char_lm, copying, forecast, reversal
from gatewright.examples.training import Job, Size
from gatewright.loaded import LoadedCell, load
from gatewright.runtime.validate import ArgumentError

EXAMPLES: dict[str, ModuleType] = {
    "adding": adding,
    "copying": copying,
    "reversal": reversal,
    "forecast": forecast,
    "char_lm": char_lm,
}


def begin(name: str, cell: Any, size: str | Size = "small", seed: int = 0, **options: Any) -> Job:
    """Return an example with a new model of a cell, the same for every seed.

    `size` is `small`, `full` or a Size; `options` are those of `gatewright.torch.layer`. Dimensions
    beside input and hidden have the size of hidden. Raises ArgumentError for a cell with several
    inputs.
    """
    module = EXAMPLES[name]
    chosen = module.SIZES[size] if isinstance(size, str) else size
    known = (cell if isinstance(cell, LoadedCell) else load(cell)).cell
    if len(known.inputs) > 1:
        listed = ", ".join(f"`{each.name}`" for each in known.inputs)
        raise ArgumentError(f"`{known.identifier}` has inputs {listed}: an example gives one")
    further = set(known.dims) - {known.inputs[0].dims[0], "hidden"}
    if further and not {"proj_size", "sizes"} & set(options):
        options["sizes"] = dict.fromkeys(further, chosen.hidden)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        job: Job = module.job(cell, chosen, seed, **options)
    return job
