"""Sine and cosine of kernels in single precision, as NumPy integers compute them."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatewright.runtime.cuda.trigonometry import sine_and_cosine


def identity(function: Any) -> Any:
    return function


sine, cosine = sine_and_cosine(
    identity, np.uint64, np.float32, lambda v: v.astype(np.int64), lambda x: x.view(np.uint32)
)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@example(0.0)
@example(-0.0)
@example(0.7853981852531433)
@example(1.5707963705062866)
@example(3.1415927410125732)
# Of all numbers of single precision, among those nearest to a multiple of pi / 2.
@example(16367173.0 * 2.0**72)
@example(3.4028234663852886e38)
@example(-1e30)
def test_every_angle_is_right_to_two_units_in_the_last_place(value: float) -> None:
    x = np.float32(value)
    with np.errstate(all="ignore"), mpmath.workprec(400):
        for found, wanted in ((sine(x), mpmath.sin(float(x))), (cosine(x), mpmath.cos(float(x)))):
            assert found.dtype == np.float32
            unit = np.spacing(np.abs(np.float32(wanted)))
            assert abs(mpmath.mpf(float(found)) - wanted) <= 2 * float(unit)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_has_no_sine(value: float) -> None:
    with np.errstate(all="ignore"):
        assert np.isnan(sine(np.float32(value)))
        assert np.isnan(cosine(np.float32(value)))
