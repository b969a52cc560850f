"""The peak is the speed of a product that is right, whichever way it is split."""

from __future__ import annotations

import numpy as np
import pytest

from gatewright.runtime import cpu
from gatewright.runtime.cpu.peak import GATES, ROUNDS, RUNS, UNITS, LargeProduct
from gatewright.runtime.validate import ArgumentError


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("threads", "by_units"), [(1, False), (2, False), (2, True)])
def test_what_is_timed_is_the_whole_product(dtype: str, threads: int, by_units: bool) -> None:
    large = LargeProduct(dtype, threads)
    assert large.run(by_units) > 0.0
    limit = 1e-3 if dtype == "float32" else 1e-11
    for weight, result in zip(large.weights, large.results, strict=True):
        np.testing.assert_allclose(result, large.operand @ weight.T, rtol=0, atol=limit)
    assert large.operations == 2 * large.operand.shape[0] * UNITS * UNITS * GATES


def test_the_best_median_counts_and_the_first_runs_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def pretended(large: LargeProduct, by_units: bool) -> float:
        asked.append(by_units)
        warming = len(asked) <= 2 * RUNS
        # A single fast run must not count, nor what is measured before all is warm.
        lucky = len(asked) == 2 * RUNS + 6
        return 1e-6 if warming or lucky else 0.25 if by_units else 0.5

    monkeypatch.setattr(LargeProduct, "run", pretended)
    operations = LargeProduct("float32", 2).operations
    assert cpu.peak("float32", 2) == operations / 0.25
    assert len(asked) == 2 * (ROUNDS + 1) * RUNS


def test_a_peak_is_a_number_of_operations_per_second() -> None:
    # No processor is slower than this, and none as fast.
    assert 1e7 < cpu.peak("float32", 1) < 1e13


@pytest.mark.parametrize(("dtype", "threads"), [("float16", 1), ("float32", 0)])
def test_what_has_no_peak_is_refused(dtype: str, threads: int) -> None:
    with pytest.raises(ArgumentError, match=r"`(dtype|threads)` must be"):
        cpu.peak(dtype, threads)
