"""Name -> text: the spec that a new cell starts from.

Why a complete small cell and not blanks: it checks clean as it stands, so the first mistake an
author sees is one they made.
"""

from __future__ import annotations

from gatewright.language.diagnostics import Diagnostic, SpecError
from gatewright.language.reader import read_spec_text

_TEMPLATE = """\
# yaml-language-server: $schema={schema}
# Write the cell the way its paper prints it. `gatewright check FILE` checks it.
cell: {name}
title: {title}
cite: []  # keys of papers, such as hochreiter1997long

# Each input and state names the dimension it has.
inputs: {{x: input}}
states: {{h: hidden}}

# Weights are matrices [rows, columns]; `[]` is a scalar that learns.
parameters:
  W_z, W_n: [hidden, input]
  U_z, U_n: [hidden, hidden]
  b_z, b_n: [hidden]

# Read from top to bottom. `@` is matrix times vector, `*` is elementwise, and a prime marks the
# next value of a state.
equations:
  z: sigmoid(W_z @ x + U_z @ h + b_z)  # gate
  n: tanh(W_n @ x + U_n @ h + b_n)     # candidate
  h': (1 - z) * n + z * h

output: h'
gates: [z]
"""


def template(name: str, schema: str = "../gen/gatewright/cell.schema.json") -> str:
    """Return a commented spec for a new cell; `schema` is where editors find the schema.

    Raises SpecError if the name cannot be a cell's.
    """
    if not name.isprintable() or '"' in name:
        message = f"cell name {name!r} must be lower-case letters, digits and `_`"
        help = "the name becomes a file and function name"
        raise SpecError([Diagnostic("E0114", message, None, help)])
    # Checked as a quoted value first: the template is text, and the name must not change it.
    quoted = _TEMPLATE.format(schema=schema, name=f'"{name}"', title="A new cell")
    checked = read_spec_text(quoted, "new cell").cell.value
    title = checked.replace("_", " ").capitalize()
    return _TEMPLATE.format(schema=schema, name=checked, title=title)
