"""The host's code for a GPU, with libcuda and PyTorch's CUDA in stand-ins that write down calls."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.cuda.test_cuda_launch import FakeLibrary

from gatewright.loaded import load
from gatewright.runtime.cuda import gpu
from gatewright.runtime.cuda.devices import Launch
from gatewright.runtime.cuda.gpu import Gpu
from gatewright.runtime.cuda.libcuda import Driver
from gatewright.runtime.cuda.report import step_codes


class Reader(FakeLibrary):
    """Reads the arguments of a launch while it lasts, as a driver does."""

    passed: tuple[int, ...] | list[int] = ()

    def _answer(self, name: str, arguments: tuple[Any, ...]) -> int | None:
        if name == "cuLaunchKernel":
            numbers = ctypes.POINTER(ctypes.c_uint64)
            self.passed = [ctypes.cast(pointer, numbers)[0] for pointer in arguments[-2]]
        return super()._answer(name, arguments)


class FakeCuda:
    """Stands for `torch.cuda`: a stream with a number, and a device that is entered."""

    def __init__(self) -> None:
        self.entered: list[int] = []

    def init(self) -> None:
        pass

    @contextlib.contextmanager
    def device(self, index: int) -> Iterator[None]:
        self.entered.append(index)
        yield

    def current_stream(self, index: int) -> Any:
        class Stream:
            cuda_stream = 4242

        return Stream


class FakeTorch:
    """Stands for PyTorch: tensors are NumPy arrays with an address."""

    float32 = "float32"

    def __init__(self) -> None:
        self.cuda = FakeCuda()

    def empty(self, *shape: Any, device: str) -> Any:
        assert device == "cuda:1"
        return None


class Tensor:
    """Stands for a tensor on a device: an address."""

    def __init__(self, address: int) -> None:
        self.address = address

    def data_ptr(self) -> int:
        return self.address


def test_a_kernel_is_loaded_once_in_pytorchs_context_and_launched_on_its_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library, fake = Reader(), FakeTorch()
    monkeypatch.setattr(gpu, "torch", lambda: fake)
    monkeypatch.setattr(gpu, "machine_code_of", lambda code, arch, threads: (b"code", "entry"))
    device = Gpu(1, Driver(library))
    assert device.limits.multiprocessors == 132
    code = next(c for c in step_codes(load("elman").source("cuda"), "float32"))
    launch = device.prepared(code, 60 * 1024, 128)
    assert fake.cuda.entered == [1]
    loaded = [call for call in library.calls if call[0] == "cuModuleLoadData"]
    assert [call[2] for call in loaded] == [b"code"]
    assert [call[3] for call in library.calls if call[0] == "cuModuleGetFunction"] == [b"entry"]
    addresses = (16, 32, 48, 64)
    for _ in range(2):
        launch(Launch((7, 1), (32, 4), 1024), (3, 5, *map(Tensor, addresses)))
    calls = [call for call in library.calls if call[0] == "cuLaunchKernel"]
    assert len(calls) == 2
    assert len([call for call in library.calls if call[0] == "cuModuleLoadData"]) == 1
    *_, stream, _, extra = calls[-1]
    assert (stream.value, extra) == (4242, None)
    assert library.passed == [3, 5, *addresses]


def test_a_constant_is_passed_in_the_kernels_precision() -> None:
    from gatewright.runtime.cuda.kernel import Passed

    half = gpu._value(np.float64(0.5), Passed.CONSTANT, "float32")
    assert (type(half), half.value) == (ctypes.c_float, 0.5)
    assert isinstance(gpu._value(0.5, Passed.CONSTANT, "float64"), ctypes.c_double)
    assert gpu._value(2**40, Passed.SIZE, "float32").value == 2**40
    assert gpu._value(Tensor(2**63), Passed.COUNTER, "float32").value == 2**63


def test_blocks_that_meet_are_launched_together(monkeypatch: pytest.MonkeyPatch) -> None:
    library, fake = FakeLibrary(), FakeTorch()
    monkeypatch.setattr(gpu, "torch", lambda: fake)
    monkeypatch.setattr(gpu, "machine_code_of", lambda code, arch, threads: (b"code", "entry"))
    code = next(c for c in step_codes(load("elman").source("cuda"), "float32"))
    launch = Gpu(1, Driver(library)).prepared(code)
    launch(Launch((7, 1), (32, 4), 0, True), (3, 5, *map(Tensor, (16, 32, 48, 64))))
    assert library.calls[-1][0] == "cuLaunchCooperativeKernel"


def test_a_thread_without_a_context_gets_the_one_that_pytorch_uses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Bare(FakeLibrary):
        """Knows which threads have a context; a runtime call elsewhere gives none to this one."""

        def __init__(self) -> None:
            super().__init__()
            self.bound: set[int] = set()

        def _answer(self, name: str, arguments: tuple[Any, ...]) -> int | None:
            me = threading.get_ident()
            if name == "cuCtxGetCurrent":
                arguments[0]._obj.value = 5 if me in self.bound else None
            elif name == "cuDevicePrimaryCtxRetain":
                arguments[0]._obj.value = 5
            elif name == "cuCtxSetCurrent":
                assert arguments[0].value == 5
                self.bound.add(me)
            elif name in ("cuLaunchKernel", "cuModuleLoadData") and me not in self.bound:
                return 201
            return super()._answer(name, arguments)

    library, fake = Bare(), FakeTorch()
    monkeypatch.setattr(gpu, "torch", lambda: fake)
    monkeypatch.setattr(gpu, "machine_code_of", lambda code, arch, threads: (b"code", "entry"))
    code = next(c for c in step_codes(load("elman").source("cuda"), "float32"))
    launch = Gpu(1, Driver(library)).prepared(code)
    failed: list[BaseException] = []

    def gradients() -> None:
        try:
            for _ in range(2):
                launch(Launch((7, 1), (32, 4)), (3, 5, *map(Tensor, (16, 32, 48, 64))))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=gradients)
    thread.start()
    thread.join()
    assert failed == []
    names = [name for name, *_ in library.calls]
    # Asked once in each thread: loading, and launching twice.
    assert names.count("cuCtxGetCurrent") == names.count("cuCtxSetCurrent") == 2
    assert next(call for call in library.calls if call[0] == "cuDeviceGet")[2] == 1
