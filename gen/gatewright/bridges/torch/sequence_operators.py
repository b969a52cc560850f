"""Contract, kernels -> the three operators of one generated file, on the CPU or on GPUs.

    <name>           (option, *given) -> results
    <name>_kept      (option, *given) -> (*results, *kept)
    <name>_backward  (option, inputs, states, *cotangents, *given, *seen, *kept)
                     -> gradients of `given`

`option` is a number that the kernels know the meaning of. Results are the output, the final states,
and the states of every step where the reverse takes their cotangents; `seen` are those of the
results that have a time axis, where the reverse reads them and not a copy. Where `inputs` or
`states` is false, nobody wants the gradients of inputs or initial states: they are empty.

Why one definition for all devices: how a sequence is traced, batched and differentiated does not
depend on where it runs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from torch import Tensor

from gatewright.bridges.torch.batching import map_rows, map_slices
from gatewright.bridges.torch.contract import Contract, Tensors
from gatewright.bridges.torch.eager import EagerSequence
from gatewright.bridges.torch.registration import Derivative, Direct, Operator, Rules
from gatewright.bridges.torch.second_order import second_order
from gatewright.loaded import LoadedCell


@dataclass(frozen=True)
class Computed:
    """What computes, in the order of the operators; `places` are PyTorch's names of where.

    `option` is the name of the number that each of them takes first, `direct` the shortest way to a
    sequence and its gradient.
    """

    infer: Callable[..., Tensors]
    keep: Callable[..., Tensors]
    reverse: Callable[..., Tensors]
    option: str
    places: tuple[str, ...] = ("CPU",)
    direct: Direct | None = None


@dataclass(frozen=True)
class SequenceOperators:
    """The operators of one generated file."""

    sequence: Operator
    kept: Operator
    backward: Operator


@lru_cache(maxsize=512)
def operator_name(loaded: LoadedCell, target: str) -> str:
    """Return what the operators of a cell's file for a target are called: by cell and digest."""
    digest = hashlib.sha256(loaded.source(target).encode()).hexdigest()[:12]
    cell = re.sub("[^a-z0-9_]", "_", loaded.cell.identifier.lower())
    return f"{cell}_{digest}" + ("" if target == "cpu" else f"_{target}")


def sequence_operators(
    name: str, contract: Contract, computed: Computed, eager: EagerSequence
) -> SequenceOperators:
    """Register the operators of a file; `eager` runs its cell in plain operations."""
    count, places, schema = len(contract.dims), computed.places, partial(_schema, computed.option)
    given, kept = _named("a", count), _named("k", len(contract.kept))
    cotangents = [each.replace("Tensor", "Tensor?") for each in _named("ct", contract.results)]
    seen = _named("s", len(contract.seen))

    def save(ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:
        remember(contract, ctx, inputs[0], inputs[1:], contract.saved(output))

    def gradient(ctx: Any, *cts: Tensor | None) -> tuple[Tensor | None, ...]:
        found = backward(*ctx.asked, *cts[: contract.results], *ctx.saved_tensors)
        return wanted(contract, ctx, found)

    keeping = Operator(
        f"{name}_kept",
        schema(given, contract.results + len(kept)),
        Rules(
            computed.keep,
            lambda option, *given: contract.traced(given, keep=True),
            map_rows(contract, lambda *given: keeping(*given)),
            places=places,
        ),
    )
    sequence = Operator(
        name,
        schema(given, contract.results),
        Rules(
            computed.infer,
            lambda option, *given: contract.traced(given, keep=False),
            map_rows(contract, lambda *given: sequence(*given)),
            Derivative(save, gradient, keeping),
            computed.direct,
            places,
        ),
    )
    backward = Operator(
        f"{name}_backward",
        schema(["bool inputs", "bool states", *cotangents, *given, *seen, *kept], count),
        Rules(
            computed.reverse,
            lambda option, inputs, states, *all: contract.traced_reverse(inputs, states, all),
            map_slices(lambda *all: backward(*all)),
            second_order(contract, eager),
            places=places,
        ),
    )
    return SequenceOperators(sequence, keeping, backward)


def remember(contract: Contract, ctx: Any, option: int, given: Tensors, kept: Tensors) -> None:
    """Keep what the reverse is given beside cotangents."""
    first = len(contract.layout.inputs)
    last = first + len(contract.states)
    inputs, states = (
        any(each.requires_grad for each in group) for group in (given[:first], given[first:last])
    )
    ctx.asked = option, inputs, states
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*given, *kept)


def wanted(contract: Contract, ctx: Any, found: Tensors) -> tuple[Tensor | None, ...]:
    """Return a gradient or None for the option and for all that was given."""
    flags = contract.wanted(*ctx.asked[1:])
    return (None, *(each if flag else None for each, flag in zip(found, flags, strict=True)))


def _named(letter: str, count: int) -> list[str]:
    return [f"Tensor {letter}{k}" for k in range(count)]


def _schema(option: str, takes: list[str], results: int) -> str:
    returned = ", ".join(["Tensor"] * results)
    return f"({', '.join([f'int {option}', *takes])}) -> ({returned})"
