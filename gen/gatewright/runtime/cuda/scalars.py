"""Scalar primitives of generated CUDA files, by the names that the files use.

On a device these are the functions of `math`, which Numba compiles for the precision of their
argument. In the simulator they are NumPy's.

Why NumPy's there: `math.exp` raises OverflowError where a device gives an infinity, and all of
`math` turns float32 into float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gatewright.runtime.cuda.availability import simulated

_source: Any = np if simulated() else math

cos = _source.cos
exp = _source.exp
log = _source.log
log1p = _source.log1p
sin = _source.sin
sqrt = _source.sqrt
tanh = _source.tanh
