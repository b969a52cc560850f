"""Steps one by one -> one CUDA graph: thousands of launches become one.

A graph holds addresses. It is made when the same arrays come a second time, as they do in a
training loop, where memory that was given back is given out again, and replayed as long as they
come; the first time, and for sizes that change all the time, the steps are launched one by one. So
they are while a caller records a graph of his own, which then holds them.

Why not at the first call: loading machine code and making the handles of products are not allowed
while a graph is made.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

from gatewright.runtime.cuda.matrices import matrices_of
from gatewright.runtime.cuda.tensors import torch

KEPT = 16


class Graphs(Protocol):
    """Something that records launches and repeats them."""

    def recorded(self, launches: Callable[[], None]) -> Callable[[], None]:
        """Record what a function launches; return what launches it again."""

    def recording(self) -> bool:
        """Tell whether a caller records what is launched now."""


class TorchGraphs:
    """PyTorch's CUDA graphs."""

    def recorded(self, launches: Callable[[], None]) -> Callable[[], None]:
        """Record what a function launches on the current stream, without running it."""
        graph = torch().cuda.CUDAGraph()
        # By default, whatever another thread asks of the GPU in the meantime, to load data for
        # example, would break the recording.
        with torch().cuda.graph(graph, capture_error_mode="thread_local"):
            launches()
        replay: Callable[[], None] = graph.replay
        return replay

    def recording(self) -> bool:
        """Tell whether a caller records what is launched on the current stream."""
        return bool(torch().cuda.is_current_stream_capturing())


class GraphedSteps:
    """A driver of steps that is recorded and replayed; `made` and `replayed` count."""

    def __init__(self, steps: Callable[..., None], graphs: Graphs) -> None:
        self.steps, self.graphs = steps, graphs
        self.made = self.replayed = 0
        self._seen: OrderedDict[Any, Callable[[], None] | None] = OrderedDict()

    def __call__(self, T: int, *arrays: Any) -> None:
        """Run T steps."""
        if self.graphs.recording():
            self.steps(T, *arrays)
            return
        key = T, tuple(_place(array) for array in arrays)
        if key not in self._seen:
            self._remember(key, None)
            self.steps(T, *arrays)
            return
        replay = self._seen[key]
        if replay is None:
            self.made += 1
            replay = self.graphs.recorded(lambda: self.steps(T, *arrays))
            self._remember(key, replay)
        self._seen.move_to_end(key)
        self.replayed += 1
        replay()

    def _remember(self, key: Any, replay: Callable[[], None] | None) -> None:
        self._seen[key] = replay
        while len(self._seen) > KEPT:
            self._seen.popitem(last=False)


def _place(array: Any) -> Any:
    """Return where an array is and how it lies; a number stands for itself."""
    if not hasattr(array, "shape") or not hasattr(array, "data_ptr"):
        return array
    library = matrices_of(array)
    return library.address(array), tuple(array.shape), library.strides(array)
