"""Decorators that compile the functions of a generated CPU file with Numba.

Why `error_model="numpy"`: division by zero then gives an infinity, as everywhere in NumPy, and not
an exception from the middle of a sequence.
"""

from __future__ import annotations

from numba import njit

device = njit(error_model="numpy", nogil=True)
rows = device
units = device
driver = device
dot = njit(error_model="numpy", nogil=True, fastmath={"contract", "reassoc", "nsz"})
