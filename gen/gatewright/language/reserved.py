"""The names an author cannot use, each with the reason, and the letters that sizes go by.

Why one table: generated files use these words beside the author's own names, so the stage that
refuses a name and the stage that prints it must mean the same list.
"""

from __future__ import annotations

import keyword
import re

from gatewright.language.functions import FUNCTIONS

_SIZES = {"input": "I", "hidden": "H"}

# Words of the generated files: sizes, loop variables, arguments, modules and functions they call.
_WORDS = """
    T B t row rows col unit units lane tile real device driver time step steps sequence
    forward reverse before after outers saved SAVED sizes ct out row_stop
    np numpy numba nb math cuda torch jax math_functions gatewright annotations
    njit prange float32 float64 int32 int64 empty zeros dot range len float int abs min max sum
    pow round tuple list dict set str bool type object print zip enumerate reversed slice sorted
    exp log tanh fma sqrt isfinite self cls main Layout LAYOUT
    product product_transposed outer flat maximum minimum absolute half_step
    this_row this_unit all_rows row_count unit_count rows_of units_of by_units wait meet engine part
    first last chunk kept shift more inputs backward
    whole totals held counters exchange each local_array syncthreads clear clear_tiles collect fill
    filled load_columns load_rows meet multiply own_row own_unit owns share HIDDEN EACH HELD SUMS
    TILES
"""
GENERATED_WORDS = frozenset(_WORDS.split())

# The routines of a generated file: `cell_1`, `before_vjp`, `cell_vjp_2_rows`.
# And the places of elements: `at_3`.
_ROUTINE = re.compile(
    r"(before|cell|steps?|sequence|after|outers|sums|at)(_(vjp|cell|rows|whole|[0-9]+))*"
)

# Windows opens a device, not a file, under these names, whatever the suffix.
DEVICES = frozenset(
    {"con", "prn", "aux", "nul"}
    | {f"{port}{digit}" for port in ("com", "lpt") for digit in range(10)}
)


def sized(dim: str) -> str:
    """Return the name that the length of a dimension goes by: `H` for `hidden`."""
    return _SIZES.get(dim, dim.upper())


def name_problem(name: str, dims: tuple[str, ...] = ()) -> str:
    """Say why a declared name is refused, in a cell with these dimensions; empty if it is not."""
    if name.startswith("_"):
        return "names starting with `_` are kept for generated code"
    if keyword.iskeyword(name):
        return f"`{name}` is a reserved word in the generated Python"
    if name in FUNCTIONS:
        return f"`{name}` is a function of the equation language"
    if name in GENERATED_WORDS or _ROUTINE.fullmatch(name):
        return f"`{name}` is used by generated code"
    if name.startswith(("d_", "ct_")):
        prefix = name[: name.index("_") + 1]
        return f"names starting with `{prefix}` are kept for derivatives in generated code"
    if name.endswith("_next"):
        return "names ending with `_next` are kept for the next values of states"
    if name.endswith(("_kept", "_now", "_soon")) or name.startswith(("EACH_", "HELD_", "SUMS_")):
        return f"`{name}` could be a register of generated code"
    for dim in dims:
        if sized(dim) == name:
            return f"`{name}` is the size of dimension `{dim}` in generated code"
    return ""


def dimension_problem(dim: str, others: tuple[str, ...]) -> str:
    """Say why a dimension's name is refused beside others; empty if it is not."""
    size = sized(dim)
    if size in GENERATED_WORDS or keyword.iskeyword(size):
        return f"dimension `{dim}` would be called `{size}`, which generated code uses"
    for other in others:
        if other != dim and sized(other) == size:
            return f"dimensions `{other}` and `{dim}` would both be called `{size}`"
    return ""


def cell_name_problem(name: str) -> str:
    """Say why a cell's name is refused; empty if it is not."""
    if name in DEVICES or keyword.iskeyword(name):
        return f"cell name `{name}` is reserved"
    return ""
