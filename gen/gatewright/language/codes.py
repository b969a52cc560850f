"""Code -> Explanation: what `gatewright explain` prints for the code of a mistake.

Why codes: a message can be reworded for one author while searches, tests and editors keep the code.
Why one text and not a list of calls: it is read and edited as a page, a title over each entry.
"""

from __future__ import annotations

from dataclasses import dataclass

_TABLE = """
E0001 the file is too large
    A spec is a few equations; files over 256 KiB are refused before they are read.
E0002 the file is not UTF-8
    Specs are UTF-8 text, with or without a byte order mark. Save the file as UTF-8.
E0003 an invisible or control character
    Zero-width, bidirectional and control characters can make a spec read differently from what
    it does. Delete the character.
E0004 the file cannot be read
    The path does not exist or may not be read. A name without `/` and `.yaml` is looked up in
    the catalogue.
    > gatewright check missing.yaml
E0005 not a regular file
    A spec is a file: not a directory, a pipe or a device.
    > gatewright check /dev/zero
E0101 not valid YAML
    The text cannot be read as YAML. Values that start with a quote, `@`, `|`, `>` or a
    backquote, or contain `: `, must be quoted.
    > z: a: b
E0102 the file is empty
    A spec needs at least a cell name, inputs, states, equations and an output.
E0103 the top level is not a mapping
    A spec is `key: value` lines.
    > - cell: gru
E0104 nested too deep or too many entries
    A spec is three levels deep and has a few dozen entries; the limits only stop files made to
    exhaust memory.
    > [[[[[[[[[]]]]]]]]]
E0105 more than one document
    `---` starts a second YAML document. Keep one cell per file.
E0106 an anchor, alias or merge key
    A YAML value that starts with `&` or `*` is not text. Specs have no anchors; `extends:`
    builds on another cell.
    > z: *h
E0107 a YAML tag
    A YAML value that starts with `!` is not text. Specs have no tags.
    > z: !x h
E0108 a key that is not text
    Keys are names.
    > ? [a, b] : hidden
E0109 a duplicate key
    The same name stands twice in one section. YAML would silently keep the second.
    > b: [hidden]
    > b: [input]
E0110 an unknown key
    The keys of a spec are cell, title, cite, extends, inputs, states, parameters, constants,
    equations, output and gates.
    > equatoins:
E0111 a value of the wrong kind
    The key holds a list where a mapping is needed, a mapping where text is needed, and so on.
    > inputs: [x]
E0112 a required key is missing
    A cell needs `cell`, `inputs`, `states`, `equations` and `output`; with `extends:` all but
    the first may come from the parent.
E0113 the title is too long
    The title is one line of at most 200 characters.
E0114 not a valid name
    Names are letters, digits and `_`, starting with a letter; Greek letters count as their
    English names. Names of cells and dimensions are lower-case.
    > n t: tanh(x)
E0115 a reserved name
    The name is a word of Python, a function of the language or a word that generated code uses.
    > lambda: sigmoid(h)
E0117 a name that is declared twice
    Inputs, states, parameters, constants and equations share one space of names. The next value
    of state `h` is the equation `h'`.
    > h: o * tanh(c)
E0118 wrong or missing dimensions
    Inputs and states have one dimension; parameters have none (`[]`), one or two.
    > inputs: {x: [input, hidden]}
E0119 a dimension that is a number
    Dimensions are named in a spec and get their sizes when the cell is built.
    > b: [128]
E0120 more than two dimensions
    Parameters are scalars, vectors and matrices.
    > W: [a, b, c]
E0121 a dimension that looks misspelled
    The dimension stands once in the spec and looks like another.
    > b: [hiden]
E0122 an equation that is not text
    YAML reads `{…}` and `[…]` as collections. Quote the equation.
    > z: [h]
E0123 equations on one line
    In `{…}` a comma starts a new key, also inside `max(a, b)`. Write one equation per line.
    > equations: {m: max(a, b)}
E0124 a choice that cannot be made
    The functions of a choice must differ and take the same number of arguments.
    > activation: [tanh, max]
E0125 too many names
    A section has at most 256 entries.
E0126 an unknown choice or option
    The cell offers no such choice, or the choice no such function.
    > gatewright show elman --choice activation=sin
E0127 an unknown or unusable constant
    The cell has no such constant, or the value is not a finite number.
E0200 an equation is empty
    YAML reads a value that starts with `#` as a comment and `z:` alone as nothing.
    > z:
E0201 a character that is not in the language
    Names use ASCII and common Greek letters. Look-alikes from other scripts are refused, as two
    names that look the same would differ.
    > z: ℎ + h
E0202 a symbol that is not in the language
    Operators are + - * / @ ^ and function calls. There is no indexing, comparison or
    assignment.
    > z: h[0]
E0203 an operator is missing
    There is no implicit product: write `2 * h` and `W @ x`.
    > z: 2 h
E0204 not a usable number
    Numbers look like 2, 0.5 or 1e-3 and fit a double.
    > z: 1e999 * h
E0205 not a usable name in an equation
    Names start with a letter and have at most 64 characters.
    > z: _h
E0206 a parenthesis is never closed
    Add `)` where the group or the argument ends.
    > z: tanh(h
E0207 an unmatched closing parenthesis
    Remove it, or add the `(` it should close.
    > z: tanh(h))
E0208 nested too deep
    Parentheses nest at most 64 deep. Name the inner part in its own equation.
E0209 an equation that is too long
    An equation has at most 2000 parts, 128 of them one after the other. Name a part of it.
E0210 two signs in a row
    Use parentheses: `a - (-b)`.
    > z: a - -b
E0211 an equation ends too early
    An operand is missing at the end.
    > z: h +
E0212 a value is missing
    An operator or `)` stands where a value should.
    > z: h * / x
E0213 a misplaced comma
    `,` stands between the arguments of a function only.
    > z: (h, x)
E0301 an unknown name
    Every name is an input, a state, a parameter, a constant or an earlier equation.
    > z: Uz @ h
E0302 a name read before it is defined
    Equations are read from top to bottom, and a step has no cycles. A state without its prime
    is its value before the step.
    > z: z + h
E0303 a function without its argument
    Write `tanh(…)`.
    > z: tanh * h
E0304 a variable called like a function
    Write `h * (…)` for a product.
    > z: h(x)
E0305 an unknown function
    The functions are the rows of the function table.
    > z: sigmod(h)
E0306 a wrong number of arguments
    Most functions take one argument; max and min take two.
    > z: tanh(h, h)
E0307 a next value of what is not a state
    A prime on the left marks the next value of a declared state.
    > g': tanh(h)
E0308 an output or gate that is not an equation
    The output is an equation, most often the next value of a state; gates are equations.
    > output: h
E0309 a name that is never used
    What is declared or computed must reach the output or a next value. Everything after ` #` is
    a YAML comment: an equation may have been cut there.
E0310 a state without a next value
    Every state has exactly one equation for its next value.
E0401 shapes that do not match
    There is no implicit broadcasting between dimensions; scalars go with anything.
    > z: W @ x + x
E0402 no matrix left of `@`
    `@` is matrix times vector. Use `*` for an elementwise product.
    > z: h @ h
E0403 a matrix where none can stand
    A matrix stands only left of `@`, as a bare parameter.
    > z: W + W
E0404 an elementwise product with a matrix
    Use `@` for a matrix-vector product.
    > z: W * x
E0405 an exponent that is not a small number
    Exponents are literal numbers between -16 and 16. Write exp(b * log(a)) for a general power.
    > z: h ^ h
E0407 division by zero
    The divisor is the literal 0.
    > z: h / 0
E0409 a next value of the wrong shape
    The next value of a state has the state's own shape.
    > h': x
E0410 an output that is a scalar
    The output is a vector.
    > output: k
E0501 a cell that extends itself
    The chain of `extends:` comes back to where it began. Write one of the cells in full.
    > cell: a
    > extends: a
E0502 a long chain of `extends:`
    At most 8 cells extend each other.
E0503 an unknown cell
    The catalogue has no cell of that name. Files are named by a path that ends in `.yaml`.
    > gatewright show lstn
E0504 a file named unlike its cell
    In the catalogue, `NAME.yaml` holds the cell NAME.
E0505 two specs for one generated file
    A generated file is called after its cell and what was chosen in it; two specs given together
    must not come to the same name.
E0505 two cells or claims of one name
    Files are named by their cell, so two specs cannot be generated into one folder under one name.
E0506 a transform that does not fit the cell
    A transform changes a cell that has what it works on: a projection needs a state that is read by
    matrix products alone, zoneout the states that it is given.
    > gatewright transform gru --projected
E0601 an unknown name in a claim
    A claim names values by their cell, as in `gru.r[t]`, parameters as in `gru.W_r`, and what it
    holds for all of by what is declared under `for_all:`.
    > lstm.f[t]: 1 - gur.z[t]
E0602 a value without a time index
    A gate that is used one step after it was computed and a gate that is used at once are different
    values: `o[t-1] = r[t]` and `o[t] = r[t]` are two claims, one true and one false.
    > lstm.o: gru.r
E0603 a step where there is none
    Parameters are the same at every step: they have no time index, and no value that changes from
    step to step can be given for one.
    > lstm.W_i: gru.z[t]
E0604 not a value at a step
    Steps are written `[t]`, `[t-1]`, `[t+1]`. The next value of a state `h` is `h[t]`.
    > lstm.o[s]: gru.r[t]
E0605 a claim that does not say what is observed
    Two cells can agree in one state and emit different outputs; half of what is said of LSTM and
    GRU is true of one and false of the other.
    > observe:
E0606 a wrong entry of `for_all`
    It declares names and what they are: function, scalar, vector, matrix, permutation and so on.
    > for_all: {phi: anything}
E0607 a tie of what is not an equation
    Ties say what an equation of a cell computes: a gate, a candidate, the next value of a state.
    > lstm.U_f[t]: gru.z[t]
E0608 shapes of a claim that do not match
    What is given for a parameter or a state has its shape. The number 0 stands for any shape.
    > lstm.U_i: gru.b_z
E0609 a parameter or value given twice or by itself
    Each is given by what is free.
    > gru.W_z: gru.W_z
E0610 an observation that is no equation
    Each line of `observe:` says which two values are equal.
    > - lstm.h[t]
E0611 a word that is not one of those possible
    The message lists them.
    > expect: true
E0612 two cells of one name in a claim
    A claim about a cell and itself names one of them otherwise.
    > right: {cell: lstm, as: permuted}
E0613 cells that read different inputs
    Both cells of a claim read the same input, of the same name and dimension.
E0614 a state map that is not one
    It gives every state of one cell, by values of the other. Without `states:` it is searched, and
    `initial: related` needs it.
    > lstm.c[t]: gru.h[t]
E0615 an unknown claim
    `gatewright prove --all` lists the claims of the library. Files are named by a path.
    > gatewright prove is_gru_an_lstm
E0616 values of a claim that cannot be computed
    A tie makes a value depend on itself, or a formula reads a step before the first.
    > gru.r[t]: gru.h[t]
"""


@dataclass(frozen=True)
class Explanation:
    """What a code means, and a short input that has the mistake (empty if none fits)."""

    code: str
    title: str
    text: str
    example: str = ""

    def __str__(self) -> str:
        parts = [f"{self.code}: {self.title}", self.text]
        if self.example:
            shown = "\n".join(f"    {line}" for line in self.example.split("\n"))
            parts.append(f"For example:\n\n{shown}")
        return "\n\n".join(parts)


def explain(code: str) -> Explanation | None:
    """Return what a code means, in upper or lower case; None for one that is not ours."""
    return CODES.get(code.upper())


def _read(table: str) -> dict[str, Explanation]:
    """Read entries: a line with code and title, then indented text, then example lines with `>`."""
    codes: dict[str, Explanation] = {}
    entries: list[list[str]] = []
    for line in table.strip().split("\n"):
        if line.startswith("E"):
            entries.append([line])
        else:
            entries[-1].append(line.strip())
    for first, *rest in entries:
        code, _, title = first.partition(" ")
        text = " ".join(line for line in rest if not line.startswith("> "))
        example = "\n".join(line[2:] for line in rest if line.startswith("> "))
        codes[code] = Explanation(code, title, text, example)
    return codes


CODES: dict[str, Explanation] = _read(_TABLE)
