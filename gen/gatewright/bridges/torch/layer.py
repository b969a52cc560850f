"""LoadedCell -> nn.Module: a cell as a layer with the surface of `nn.LSTM`.

Parameters keep the spec's names, one group per layer and direction: `l0.W_i`, `l1_reverse.U_f`. A
cell with several states takes and returns them as a tuple in the spec's order, one with a single
state as a tensor, as `nn.LSTM` and `nn.GRU` do.

Why parameters are not stacked as PyTorch's are: a cell may have any parameters, and the names of
its paper say which is which. `weights` translates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatewright.bridges.torch import weights
from gatewright.bridges.torch.eager import EagerSequence
from gatewright.bridges.torch.guards import checked, checked_states
from gatewright.bridges.torch.kernel import KernelSequence
from gatewright.bridges.torch.sequences import States, dense, packed
from gatewright.bridges.torch.sizes import cell_sizes
from gatewright.loaded import LoadedCell, load
from gatewright.runtime.validate import ArgumentError, checked_size

BACKENDS = ("kernel", "eager")
OPTIONS = ("device", "dtype", "backend", "threads", "learn_initial_state", "stateful")
Hidden = Tensor | tuple[Tensor, ...]


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
    **options: Any,
) -> RecurrentLayer:
    """Return a layer of a cell: a name of the catalogue, the path of a YAML file, a loaded cell.

    The arguments are those of `nn.LSTM`. `options` are the further ones of `RecurrentLayer`, and
    other values for the cell's constants and choices, such as `activation="relu"`. Raises SpecError
    for a mistake in the spec and ArgumentError for one in the arguments.
    """
    settings = {name: value for name, value in options.items() if name not in OPTIONS}
    if isinstance(cell, LoadedCell):
        if settings:
            raise ArgumentError(f"a loaded cell has its settings: {', '.join(settings)} come late")
        loaded = cell
    else:
        loaded = load(cell, **settings)
    return RecurrentLayer(
        loaded,
        input_size,
        hidden_size,
        num_layers,
        bias,
        batch_first,
        dropout,
        bidirectional,
        proj_size,
        **{name: value for name, value in options.items() if name in OPTIONS},
    )


class RecurrentLayer(nn.Module):
    """Layers of one cell, in the surface of `nn.LSTM`.

    `forward(x, hx)` takes x [T, B, input] ([B, T, input] with `batch_first`, [T, input] without a
    batch, or a PackedSequence) and states [num_layers * directions, B, dim], and returns outputs
    and final states likewise. With `bias=False`, parameters called `b` or `b_...` are zero.

    `backend` is `kernel` (compiled, on up to `threads` threads) or `eager` (plain operations: any
    device and every transform). States that are not given are zero; with `learn_initial_state` they
    are parameters; with `stateful` they are those in which the call before ended, until
    `reset_state`. Gradients then stop where a call begins: backpropagation through time, truncated.
    """

    def __init__(
        self,
        cell: LoadedCell,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        device: Any = None,
        dtype: torch.dtype | None = None,
        backend: str = "kernel",
        threads: int | None = None,
        learn_initial_state: bool = False,
        stateful: bool = False,
    ) -> None:
        super().__init__()
        if backend not in BACKENDS:
            raise ArgumentError(f"`backend` must be one of {', '.join(BACKENDS)}; got {backend!r}")
        if not 0.0 <= float(dropout) <= 1.0:
            raise ArgumentError(f"`dropout` must be a number from 0 to 1; got {dropout!r}")
        self.loaded, self.backend = cell, backend
        self.input_size = checked_size("input_size", input_size)
        self.hidden_size = checked_size("hidden_size", hidden_size)
        self.num_layers = checked_size("num_layers", num_layers)
        self.bias, self.batch_first, self.dropout = bool(bias), bool(batch_first), float(dropout)
        self.bidirectional, self.proj_size = bool(bidirectional), int(proj_size)
        self.directions = 2 if bidirectional else 1
        self._groups = tuple(
            f"l{k}{end}"
            for k in range(self.num_layers)
            for end in ("", "_reverse")[: self.directions]
        )
        self._sizes = cell_sizes(cell, self.input_size, self.hidden_size, self.proj_size)
        count = checked_size("threads", threads) if threads is not None else 0
        kernel = backend == "kernel"
        self.sequence = KernelSequence(cell, count) if kernel else EagerSequence(cell)
        self.stateful = bool(stateful)
        self._carried: States | None = None
        self._add_parameters(learn_initial_state, {"device": device, "dtype": dtype})
        self.reset_parameters()

    def _add_parameters(self, learn_initial_state: bool, place: dict[str, Any]) -> None:
        self.learn_initial_state = bool(learn_initial_state)
        for k, group in enumerate(self._groups):
            shapes = self._sizes.parameters(k // self.directions, self.directions)
            held = {n: shape for n, shape in shapes.items() if self.bias or not _is_bias(n)}
            made = [(n, nn.Parameter(torch.empty(shape, **place))) for n, shape in held.items()]
            # Pairs keep the spec's order; of a dict, PyTorch would sort the names.
            self.add_module(group, nn.ParameterDict(made))
            if self.learn_initial_state:
                states = self._sizes.states.items()
                zeros = [(n, nn.Parameter(torch.zeros(size, **place))) for n, size in states]
                self.add_module(f"initial_{group}", nn.ParameterDict(zeros))

    def reset_parameters(self) -> None:
        """Draw parameters evenly from plus or minus 1 / sqrt(hidden_size); states begin at zero."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for group in self._groups:
            for parameter in self._held(group).values():
                nn.init.uniform_(parameter, -bound, bound)

    def reset_state(self) -> None:
        """Begin the next call of a `stateful` layer as if it were the first."""
        self._carried = None

    def flatten_parameters(self) -> None:
        """Do nothing; `nn.LSTM` has it."""

    def extra_repr(self) -> str:
        """Return the arguments, defaults left out."""
        parts = [repr(self.loaded.cell.identifier), str(self.input_size), str(self.hidden_size)]
        options = ("num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size")
        for name, default in zip(options, (1, True, False, 0.0, False, 0), strict=True):
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join((*parts, f"backend={self.backend!r}"))

    def forward(
        self, x: Tensor | PackedSequence, hx: Hidden | None = None, lengths: Any = None
    ) -> tuple[Any, Hidden]:
        """Return outputs and final states.

        `lengths` [B] are the time steps of each row of a padded x: outputs beyond them are zero,
        final states are those of each row's last step. Raises ArgumentError, a ValueError, for what
        does not fit.
        """
        if isinstance(x, PackedSequence):
            if lengths is not None:
                raise ArgumentError("a PackedSequence has lengths of its own: leave out `lengths`")
            return self._packed(x, hx)
        if lengths is None:
            return self._padded(x, hx)
        if not isinstance(x, Tensor) or x.dim() != 3:
            raise ArgumentError("`lengths` need x [T, B, input], or [B, T, input] if batch_first")
        T, lengths = x.shape[int(self.batch_first)], torch.as_tensor(lengths, device="cpu")
        rows = pack_padded_sequence(x, lengths, self.batch_first, enforce_sorted=False)
        outputs, final = self._packed(rows, hx)
        return pad_packed_sequence(outputs, self.batch_first, total_length=T)[0], final

    def _padded(self, x: Tensor, hx: Hidden | None) -> tuple[Tensor, Hidden]:
        like = self._like()
        x = _as_layer(x, like)
        batched = not isinstance(x, Tensor) or x.dim() != 2
        order = ("B", "T") if batched and self.batch_first else ("T", "B")
        shape = (*(order if batched else ("T",)), self.input_size)
        checked("x", x, shape, like)
        rows = x if batched else x.unsqueeze(1)
        rows = rows.transpose(0, 1) if batched and self.batch_first else rows
        y, final = self._stack(dense, rows, self._initial(hx, rows.shape[1], like, batched), ())
        self._carry(final)
        if not batched:
            return y.squeeze(1), self._hidden(tuple(state.squeeze(1) for state in final))
        return y.transpose(0, 1) if self.batch_first else y, self._hidden(final)

    def _packed(self, x: PackedSequence, hx: Hidden | None) -> tuple[PackedSequence, Hidden]:
        like, counts = self._like(), x.batch_sizes.tolist()
        data = checked("x", _as_layer(x.data, like), ("rows", self.input_size), like)
        states = self._initial(hx, counts[0], like, True)
        if x.sorted_indices is not None:
            states = tuple(state.index_select(1, x.sorted_indices) for state in states)
        y, final = self._stack(packed, data, states, (counts,))
        if x.unsorted_indices is not None:
            final = tuple(state.index_select(1, x.unsorted_indices) for state in final)
        self._carry(final)
        outputs = PackedSequence(y, x.batch_sizes, x.sorted_indices, x.unsorted_indices)
        return outputs, self._hidden(final)

    def _stack(
        self, through: Any, x: Tensor, initial: States, rows: tuple[Any, ...]
    ) -> tuple[Tensor, States]:
        """Run all layers; `through` is `dense` or `packed`, `rows` what it takes beside x."""
        finals: list[States] = []
        with self._full_precision(x):
            for k in range(self.num_layers):
                outputs = []
                for end in range(self.directions):
                    index = k * self.directions + end
                    run = self._run(index)
                    states = tuple(state[index] for state in initial)
                    y, final = through(run, x, *rows, states, bool(end))
                    outputs.append(y)
                    finals.append(final)
                x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)
                if self.dropout and k + 1 < self.num_layers:
                    x = nn.functional.dropout(x, self.dropout, self.training)
        return x, tuple(torch.stack(each) for each in zip(*finals, strict=True))

    @staticmethod
    def _full_precision(x: Tensor) -> AbstractContextManager[Any]:
        kind = x.device.type
        if kind == "meta" or not torch.is_autocast_enabled(kind):
            return nullcontext()
        return torch.autocast(kind, enabled=False)

    def _run(self, index: int) -> Any:
        """Return the function that runs one direction of one layer on x [T, B, dim] and states."""
        held = self._held(self._groups[index])
        shapes = self._sizes.parameters(index // self.directions, self.directions)

        def run(x: Tensor, states: States) -> tuple[Tensor, States]:
            given = [held[n] if n in held else x.new_zeros(shape) for n, shape in shapes.items()]
            return self.sequence((x, *states, *given))

        return run

    def _initial(self, hx: Hidden | None, B: int, like: Tensor, batched: bool) -> States:
        """Return initial states [num_layers * directions, B, dim], as given, learned or zero."""
        sizes, count = self._sizes.states, len(self._groups)
        if hx is not None:
            rows = (B,) if batched else ()
            shapes = {name: (count, *rows, *size) for name, size in sizes.items()}
            given = (hx,) if isinstance(hx, Tensor) else hx
            if isinstance(given, tuple | list):
                given = tuple(_as_layer(each, like) for each in given)
            states = checked_states(tuple(sizes), given, shapes, like)
            return states if batched else tuple(state.unsqueeze(1) for state in states)
        if self._carried is not None:
            if self._carried[0].shape[1] != B:
                had = self._carried[0].shape[1]
                raise ArgumentError(
                    f"the call before had {had} rows, this one has {B}: call `reset_state` first"
                )
            return tuple(state.to(like) for state in self._carried)
        if not self.learn_initial_state:
            return tuple(like.new_zeros((count, B, *size)) for size in sizes.values())
        held = [self._held(f"initial_{group}") for group in self._groups]
        learned = (torch.stack([each[name] for each in held]) for name in sizes)
        return tuple(each.unsqueeze(1).expand(-1, B, *each.shape[1:]) for each in learned)

    def _like(self) -> Tensor:
        """Return a parameter: x must have its dtype and device."""
        first: Tensor = next(iter(self._held("l0").values()))
        return first

    def _held(self, name: str) -> nn.ParameterDict:
        found = self.get_submodule(name)
        assert isinstance(found, nn.ParameterDict)
        return found

    def _carry(self, final: States) -> None:
        if self.stateful:
            self._carried = tuple(state.detach() for state in final)

    def _hidden(self, states: States) -> Hidden:
        """Return final states as a caller gets them."""
        return states if len(states) > 1 else states[0]

    def named_cell_parameters(self) -> Iterator[tuple[str, Mapping[str, Tensor]]]:
        """Yield the name and the parameters of every layer and direction: `l0`, `l0_reverse`."""
        for group in self._groups:
            yield group, dict(self._held(group).items())

    def load_torch_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Take the parameters of an `nn.RNN`, `nn.LSTM` or `nn.GRU`; two biases become their sum.

        Raises ArgumentError where the cell has no such counterpart or a tensor does not fit.
        """
        weights.load(self, state_dict)

    def torch_state_dict(self) -> dict[str, Tensor]:
        """Return the parameters as `nn.RNN`, `nn.LSTM` or `nn.GRU` would have them.

        Where PyTorch has two biases and the cell one, the second is zero.
        """
        return weights.save(self)


def _is_bias(name: str) -> bool:
    return name == "b" or name.startswith("b_")


def _as_layer(tensor: Any, like: Tensor) -> Any:
    """Return a tensor in the layer's precision if autocast has lowered it."""
    if not isinstance(tensor, Tensor) or tensor.dtype not in (torch.float16, torch.bfloat16):
        return tensor
    kind = tensor.device.type
    autocast = kind != "meta" and torch.is_autocast_enabled(kind)
    return tensor.to(like.dtype) if autocast else tensor
