"""Network -> nn.Module: layers of a cell with the surface of `nn.LSTM`.

Parameters keep the spec's names, one group per layer and direction: `l0.W_i`, `l1_reverse.U_f`. A
cell with several states takes and returns them as a tuple in the spec's order, one with a single
state as a tensor, as `nn.LSTM` and `nn.GRU` do.

Why parameters are not stacked as PyTorch's are: a cell may have any parameters, and the names of
its paper say which is which. `weights` translates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatewright.bridges.torch import weights
from gatewright.bridges.torch.backend import Backend
from gatewright.bridges.torch.guards import as_layer, checked_states, refuse_memory
from gatewright.bridges.torch.inputs import Rows, rows_of
from gatewright.bridges.torch.kernel import KernelSequence
from gatewright.bridges.torch.sequences import Tensors
from gatewright.layers.network import Network, network_and
from gatewright.loaded import LoadedCell
from gatewright.runtime.validate import ArgumentError, checked_size

OPTIONS = ("device", "dtype", "backend", "threads", "stateful")
Hidden = Tensor | tuple[Tensor, ...]
Input = Tensor | PackedSequence


def layer(
    cell: str | PathLike[str] | LoadedCell,
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    bias: bool = True,
    batch_first: bool = False,
    dropout: float = 0.0,
    bidirectional: bool = False,
    proj_size: int = 0,
    device: Any = None,
    dtype: torch.dtype | None = None,
    **options: Any,
) -> RecurrentLayer:
    """Return a layer of a cell: a name of the catalogue, the path of a YAML file, a loaded cell.

    The arguments are those of `nn.LSTM`. `options` are the further ones of `RecurrentLayer`, those
    of a network (`zoneout`, `clip`, `learn_initial_state`, `sizes`), and other values for the
    cell's constants and choices, such as `activation="relu"`. Raises SpecError for a mistake in the
    spec and ArgumentError for one in the arguments.
    """
    sizes = (cell, input_size, hidden_size, num_layers, bias, dropout, bidirectional, proj_size)
    described, own = network_and(OPTIONS, options, *sizes)
    return RecurrentLayer(described, batch_first, device=device, dtype=dtype, **own)


class RecurrentLayer(nn.Module):
    """Layers of one cell, in the surface of `nn.LSTM`.

    `forward(x, hx)` takes x [T, B, input] ([B, T, input] with `batch_first`, [T, input] without a
    batch, or a PackedSequence), a dict of these by name if the cell has several inputs, and states
    [num_layers * directions, B, dim], and returns outputs and final states likewise. With
    `bias=False`, parameters called `b` or `b_...` are zero.

    `backend` is `kernel` (compiled: for the CPU, on up to `threads` threads, and for CUDA tensors),
    `eager` (plain operations: any device and every transform) or `auto`: kernels where there are
    some, else plain operations after a warning; `explain` says which, and why. States that are not
    given are zero; with `learn_initial_state` they are parameters; with `stateful` they are those
    in which the call before ended, until `reset_state`. Gradients then stop where a call begins:
    backpropagation through time, truncated.

    What `torch.export`, AOTInductor and `torch.jit.trace` write knows the kernels by name alone: a
    process that loads it makes a layer of the same cell first, of any size.
    """

    def __init__(
        self,
        described: Network,
        batch_first: bool = False,
        *,
        device: Any = None,
        dtype: torch.dtype | None = None,
        backend: str = "auto",
        threads: int | None = None,
        stateful: bool = False,
    ) -> None:
        super().__init__()
        self.network = described
        self.input_size, self.hidden_size = described.input_size, described.hidden_size
        self.num_layers, self.bias = described.num_layers, described.bias
        self.dropout, self.bidirectional = described.dropout, described.bidirectional
        self.proj_size, self.batch_first = described.proj_size, bool(batch_first)
        self._backend = Backend(described.loaded, backend, threads)
        self.stateful = bool(stateful)
        self._carried: Tensors | None = None
        place = {"device": device, "dtype": dtype}
        for group in described.groups:
            # Pairs keep the spec's order; of a dict, PyTorch would sort the names.
            shapes = described.learned(group).items()
            made = [(n, nn.Parameter(torch.empty(shape, **place))) for n, shape in shapes]
            self.add_module(group, nn.ParameterDict(made))
            if described.learn_initial_state:
                states = described.states.items()
                start = [(n, nn.Parameter(torch.empty(size, **place))) for n, size in states]
                self.add_module(f"initial_{group}", nn.ParameterDict(start))
        before_loading: Any = self.register_load_state_dict_pre_hook
        before_loading(weights.translate)
        self.reset_parameters()

    @property
    def loaded(self) -> LoadedCell:
        """The cell."""
        return self.network.loaded

    @property
    def backend(self) -> str:
        """What runs the cell, as asked for: `auto`, `kernel` or `eager`."""
        return self._backend.name

    def explain(self, batch: int) -> str:
        """Return what runs `batch` rows on the layer's device, and why, in a line or several.

        On a GPU it names, for each direction, the tier: 2 is one kernel for all steps, 1 a product
        and a kernel at a time. Call it under autocast as the layer is called. Raises ArgumentError
        if `batch` is not a whole number from 1.
        """
        units = next(iter(self.network.states.values()))[-1]
        return self._backend.explained(self._like(), units, checked_size("batch", batch))

    def reset_parameters(self) -> None:
        """Draw parameters evenly from plus or minus 1 / sqrt(hidden_size); states begin at zero."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for group in self.network.groups:
            # Where a parametrization computes a weight, what it is computed from.
            for parameter in self._held(group).parameters():
                nn.init.uniform_(parameter, -bound, bound)
            if self.network.learn_initial_state:
                for parameter in self._held(f"initial_{group}").values():
                    nn.init.zeros_(parameter)

    def reset_state(self) -> None:
        """Begin the next call of a `stateful` layer as if it were the first."""
        self._carried = None

    def flatten_parameters(self) -> None:
        """Do nothing; `nn.LSTM` has it."""

    def __prepare_scriptable__(self) -> None:
        """Refuse what `torch.jit.script` asks of every module. Raises NotImplementedError."""
        raise NotImplementedError(
            "TorchScript cannot express a layer of any cell: use torch.export, torch.compile or "
            "torch.jit.trace"
        )

    def extra_repr(self) -> str:
        """Return the arguments, defaults left out."""
        parts = [repr(self.network.base.identifier), str(self.input_size), str(self.hidden_size)]
        options = ("num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size")
        for name, default in zip(options, (1, True, False, 0.0, False, 0), strict=True):
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)}")
        parts += [f"{mask}={rate}" for mask, rate in self.network.zoneout]
        return ", ".join((*parts, f"backend={self.backend!r}"))

    def forward(
        self,
        input: Input | Mapping[str, Input],
        hx: Hidden | None = None,
        lengths: Any = None,
        return_states: bool = False,
    ) -> Any:
        """Return outputs and final states; `input` is x, under the name that `nn.LSTM` gives it.

        `lengths` [B] are the time steps of each row of a padded x: outputs beyond them are zero,
        final states are those of each row's last step. With `return_states`, the third result are
        all states of all steps, [num_layers * directions, T, B, dim] or with T and B as in x (for a
        PackedSequence, [num_layers * directions, rows, dim], its rows), and a loss on any of them
        has its gradients. Raises ArgumentError, a ValueError, for what does not fit.
        """
        if self.stateful:
            refuse_memory()
        like = self._like()
        rows = rows_of(input, lengths, self.network, self.batch_first, like)
        y, final, states = self._stack(rows, self._starts(hx, rows, like), return_states)
        final = rows.unsort(final)
        if self.stateful:
            # A copy: what the caller does to the final states is no business of the next call.
            self._carried = tuple(state.detach().clone() for state in final)
        if not rows.batched:
            final = tuple(state.squeeze(1) for state in final)
        found = rows.outputs(y), self._hidden(final)
        return (*found, self._hidden(rows.states(states))) if return_states else found

    def _stack(
        self, rows: Rows, starts: Sequence[Tensors], every: bool
    ) -> tuple[Tensor, Tensors, tuple[Tensor, ...]]:
        """Run all layers; return outputs, final states and, with `every`, those of all steps."""
        described = self.network
        x, *others = rows.inputs
        finals: list[Tensors] = []
        states: list[Tensors] = []
        sequence = self._backend.sequence(x, every)
        with self._full_precision(x):
            for k in range(described.num_layers):
                outputs = []
                for end in range(described.directions):
                    index = k * described.directions + end
                    given = (x, *others, *self._masks(x))
                    run = self._run(index, sequence)
                    y, final, more = rows.run(run, given, starts[index], bool(end))
                    outputs.append(y)
                    finals.append(final)
                    states.append(self._every(y, more) if every else ())
                x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)
                if described.dropout and k + 1 < described.num_layers:
                    x = nn.functional.dropout(x, described.dropout, self.training)
            found = tuple(torch.stack(each) for each in zip(*states, strict=True))
        if len(finals) == 1 and isinstance(sequence, KernelSequence):
            # Memory of their own, which plain operations may share with what autograd has kept.
            return x, tuple([each.unsqueeze(0) for each in finals[0]]), found
        return x, tuple(torch.stack(each) for each in zip(*finals, strict=True)), found

    def _every(self, y: Tensor, more: Tensors) -> Tensors:
        """Return the states of every step in order: that of the output is the output."""
        others, output = iter(more), self.network.cell.output
        names = [f"{each.name}'" for each in self.network.cell.states]
        return tuple(y if name == output else next(others) for name in names)

    def _masks(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the masks of zoneout: draws in training, else their mean."""
        for name, rate in self.network.zoneout:
            # Not made from x: under vmap the caller says whether slices have masks of their own.
            shape = (*x.shape[:-1], self.network.width(name))
            mask = torch.full(shape, rate, dtype=x.dtype, device=x.device)
            yield torch.bernoulli(mask) if self.training else mask

    @staticmethod
    def _full_precision(x: Tensor) -> AbstractContextManager[Any]:
        kind = "cpu" if x.is_cpu else x.device.type
        if kind == "meta" or not torch.is_autocast_enabled(kind):
            return nullcontext()
        return torch.autocast(kind, enabled=False)

    def _run(self, index: int, sequence: Any) -> Any:
        """Return the function that runs one direction of one layer on inputs and states."""
        group = self.network.groups[index]
        given = self._given(group)

        def run(inputs: Tensors, states: Tensors) -> Any:
            return sequence((*inputs, *states, *given))

        return run

    def _given(self, group: str) -> list[Tensor]:
        """Return the parameters of a layer and direction; those that are not learned are zero."""
        held: nn.ParameterDict = self._computed(group, self.training)
        found: list[Tensor] = []
        for name, shape in self.network.parameters(group).items():
            # The module itself takes longer, but finds what a parametrization has put in its place.
            tensor: Tensor | None = held._parameters.get(name)
            if tensor is None:
                tensor = held[name] if name in held else self._like().new_zeros(shape)
            found.append(tensor)
        return found

    def _starts(self, hx: Hidden | None, rows: Rows, like: Tensor) -> Sequence[Tensors]:
        """Return the initial states [B, dim] of every layer and direction."""
        states = self._initial(hx, rows.batch, like, rows.batched)
        groups = range(len(self.network.groups))
        if states is not None:
            states = rows.sort(states)
            return [tuple([state.select(0, k) for state in states]) for k in groups]
        sizes = self.network.states.values()
        zeros = {size: like.new_zeros((rows.batch, *size)) for size in dict.fromkeys(sizes)}
        return [tuple(zeros[size] for size in sizes)] * len(groups)

    def _initial(self, hx: Hidden | None, B: int, like: Tensor, batched: bool) -> Tensors | None:
        """Return initial states [groups, B, dim], as given, carried or learned; None for zeros."""
        sizes, groups = self.network.states, self.network.groups
        if hx is not None:
            rows = (B,) if batched else ()
            shapes = {name: (len(groups), *rows, *size) for name, size in sizes.items()}
            given = (hx,) if isinstance(hx, Tensor) else hx
            if isinstance(given, tuple | list):
                given = tuple(as_layer(each, like) for each in given)
            states = checked_states(tuple(sizes), given, shapes, like)
            return states if batched else tuple(state.unsqueeze(1) for state in states)
        if self._carried is not None:
            if self._carried[0].shape[1] != B:
                had = self._carried[0].shape[1]
                raise ArgumentError(
                    f"the call before had {had} rows, this one has {B}: call `reset_state` first"
                )
            # A copy: what a call in inference mode leaves behind takes no part in gradients.
            return tuple(state.to(like, copy=True) for state in self._carried)
        if not self.network.learn_initial_state:
            return None
        held = [self._held(f"initial_{group}") for group in groups]
        learned = (torch.stack([each[name] for each in held]) for name in sizes)
        return tuple(each.unsqueeze(1).expand(-1, B, *each.shape[1:]) for each in learned)

    def _like(self) -> Tensor:
        """Return a parameter: x must have its dtype and device."""
        held = self._held("l0")
        first: Tensor = next(iter(held._parameters.values() or held.values()))
        return first

    def _computed(self, group: str, training: bool = False) -> nn.ParameterDict:
        """Return the parameters of a layer and direction as they are for the next call.

        Only a call of a layer in training may advance what a norm remembers from call to call.
        """
        held = self._held(group)
        # A dict of parameters is never called, but pruning and the older norms set weights here.
        if held._forward_pre_hooks:
            before = held.training
            held.train(training)
            for hook in held._forward_pre_hooks.values():
                hook(held, ())
            held.train(before)
        return held

    def _held(self, name: str) -> nn.ParameterDict:
        # A module's own `__getattr__` asks everywhere else first.
        found: Any = self._modules[name]
        return found  # type: ignore[no-any-return]

    def _hidden(self, states: Tensors) -> Hidden:
        """Return states as a caller gets them."""
        return states if len(states) > 1 else states[0]

    def named_cell_parameters(self) -> Iterator[tuple[str, Mapping[str, Tensor]]]:
        """Yield the name and the parameters of every layer and direction: `l0`, `l0_reverse`."""
        for group in self.network.groups:
            yield group, dict(self._computed(group).items())

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of every layer and direction, in the spec's order."""
        return [list(parameters.values()) for _, parameters in self.named_cell_parameters()]

    def load_torch_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Take the parameters of an `nn.RNN`, `nn.LSTM` or `nn.GRU`; two biases become their sum.

        `load_state_dict` takes them too, in the checkpoint of a whole model as well. Raises
        ArgumentError where the cell has no such counterpart or a tensor does not fit.
        """
        weights.load(self, state_dict)

    def torch_state_dict(self) -> dict[str, Tensor]:
        """Return the parameters as `nn.RNN`, `nn.LSTM` or `nn.GRU` would have them.

        Where PyTorch has two biases and the cell one, the second is zero. Zoneout and learned
        initial states have no counterpart there: PyTorch's layer is without them.
        """
        return weights.save(self)
