"""Node -> the parts of a Spec: what each key of a spec may hold.

Every function here reads one section, notes its mistakes in the context and returns what it could
read.

Why names are checked here and meaning is not: a name that is not spelled as a name would reach
files, kernels and messages; whether it clashes with another can wait for the whole cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gatewright.language.alphabet import MAX_NAME, ascii_name
from gatewright.language.diagnostics import Findings, Related, Span, quoted
from gatewright.language.equation import EquationError, parse
from gatewright.language.reserved import cell_name_problem
from gatewright.language.scalar_places import Lines, comment_after, places
from gatewright.language.spec import (
    ChoiceDeclared,
    Declared,
    EquationText,
    NumberDeclared,
    Text,
    located,
)
from gatewright.language.yaml_nodes import Listing, Mapping, Node, Scalar

MAX_ENTRIES = 256
MAX_TITLE = 200
CELL_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
# A leading `_` is let through to the reserved names, which say why it is refused.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIMENSION = re.compile(r"[a-z][a-z0-9_]{0,31}")
_CITATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/+-]{0,79}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_LETTERS_HELP = "letters, digits and `_`, starting with a letter"


@dataclass(frozen=True)
class Context:
    """The file that is read and the mistakes found in it."""

    file: str
    lines: Lines
    found: Findings


def kind(node: Node) -> str:
    """Name the kind of a node in the author's words."""
    match node:
        case Mapping():
            return "a mapping"
        case Listing():
            return "a list"
        case Scalar(text, style):
            return "a single value" if text or style else "a single value with nothing in it"


def cell_name(context: Context, node: Node) -> Text | None:
    """Read the name of a cell: it becomes a file and function name."""
    text = single(context, node, "cell")
    if text is None:
        return None
    if not CELL_NAME.fullmatch(text.value):
        message = (
            f"cell name {quoted(text.value)} must be lower-case letters, digits and `_`, "
            f"starting with a letter, at most {MAX_NAME} characters"
        )
        help = "the name becomes a file and function name"
        if re.search(r"[/\\]", text.value):
            help += "; path separators are refused"
        context.found.add("E0114", message, text.span, help)
        return None
    problem = cell_name_problem(text.value)
    if problem:
        context.found.add("E0115", problem, text.span, f"use `{text.value}_cell` or another name")
    return text


def title(context: Context, node: Node) -> str:
    """Read the title: one line of free text."""
    text = single(context, node, "title")
    if text is None:
        return ""
    words = " ".join(text.value.split())
    if len(words) > MAX_TITLE:
        message = f"the title has {len(words)} characters; the limit is {MAX_TITLE}"
        context.found.add("E0113", message, text.span, "put the rest in a comment")
    return words


def citations(context: Context, node: Node) -> tuple[str, ...]:
    """Read the keys of the papers a cell comes from."""
    result = []
    for item in items(context, node, "cite"):
        if _CITATION.fullmatch(item.text):
            result.append(item.text)
        else:
            message = f"{quoted(item.text)} is not a citation key"
            help = "a key looks like `hochreiter1997long`"
            context.found.add("E0114", message, item.span, help)
    return tuple(result)


def inputs(context: Context, node: Node) -> tuple[Declared, ...]:
    """Read the inputs: each a vector."""
    return _vectors(context, node, "inputs", "an input")


def states(context: Context, node: Node) -> tuple[Declared, ...]:
    """Read the states: each a vector."""
    return _vectors(context, node, "states", "a state")


def parameters(context: Context, node: Node) -> tuple[Declared, ...]:
    """Read the parameters; one key may declare several, separated by commas."""
    result: list[Declared] = []
    seen: dict[str, Text] = {}
    for key, value in pairs(context, node, "parameters", split=True):
        dims = _dimensions(context, value, key.text)
        for name in _names(context, key, "a parameter"):
            first = seen.setdefault(name.value, name)
            if first is not name:
                _repeated(context, name, first, "parameters")
            elif dims is not None:
                result.append(Declared(name, dims))
    if len(result) > MAX_ENTRIES:
        message = f"`parameters` declares {len(result)} names; the limit is {MAX_ENTRIES}"
        context.found.add("E0125", message, node.span, "a cell this large is not one cell")
        return ()
    return tuple(result)


def constants(context: Context, node: Node) -> tuple[NumberDeclared | ChoiceDeclared, ...]:
    """Read the constants: numbers, and choices of functions."""
    result: list[NumberDeclared | ChoiceDeclared] = []
    for key, value in pairs(context, node, "constants"):
        name = _name(context, key, "a constant")
        if isinstance(value, Listing) and value.items:
            options = tuple(
                Text(ascii_name(item.text), item.span) for item in items(context, value, key.text)
            )
            if name is not None:
                result.append(ChoiceDeclared(name, options))
            continue
        text = value.text if isinstance(value, Scalar) else ""
        if len(text) > 40 or not _NUMBER.fullmatch(text) or abs(float(text)) == float("inf"):
            message = f"`{short(key.text)}` must be a number or a list of functions"
            help = "numbers look like 2, 0.5 or -1e-3; a choice looks like [tanh, relu]"
            context.found.add("E0111", message, value.span, help)
        elif name is not None:
            result.append(NumberDeclared(name, float(text)))
    return tuple(result)


def equations(context: Context, node: Node) -> tuple[EquationText, ...]:
    """Read the equations, in order, with the comment that ends their line."""
    if isinstance(node, Mapping) and node.flow and node.pairs:
        help = "in `{…}` a comma starts a new key, also inside `f(a, b)`"
        context.found.add("E0123", "write one equation per line", node.span, help)
        return ()
    result = []
    for key, value in pairs(context, node, "equations"):
        target = _name(context, key, "an equation", prime=True)
        if not isinstance(value, Scalar):
            message = f"equation `{short(key.text)}` must be text, but is {kind(value)}"
            help = "quote the equation; YAML reads `{…}` and `[…]` as collections"
            context.found.add("E0122", message, value.span, help)
            continue
        equation = _equation(context, key, value, target)
        if equation is not None:
            result.append(equation)
    return tuple(result)


def _equation(
    context: Context, key: Scalar, value: Scalar, target: Text | None
) -> EquationText | None:
    where = places(value, context.lines)
    try:
        expr = parse(value.text)
    except EquationError as problem:
        name = target.value if target else short(key.text)
        message, help = problem.message, problem.help
        span = located(where, problem.start, problem.end, context.file)
        if problem.code == "E0200":
            span, message = key.span, f"equation `{name}` is empty"
            help = "a value starting with `#`, `&` or `!` must be quoted"
        else:
            message += f" in equation `{name}`"
        context.found.add(problem.code, message, span, help, problem.label)
        return None
    if target is None:
        return None
    return EquationText(target, expr, where, comment_after(value, context.lines))


def output(context: Context, node: Node) -> Text | None:
    """Read the name of the output: an equation, or the next value of a state."""
    text = single(context, node, "output")
    return None if text is None else Text(ascii_name(text.value), text.span)


def gates(context: Context, node: Node) -> tuple[Text, ...]:
    """Read the names of the equations that are gates."""
    return tuple(Text(ascii_name(item.text), item.span) for item in items(context, node, "gates"))


def single(context: Context, node: Node, key: str) -> Text | None:
    """Read one value; report a list, a mapping or nothing in its place."""
    if isinstance(node, Scalar) and (node.text or node.style):
        return Text(node.text, node.span)
    message = f"`{key}` must be a single value, but is {kind(node)}"
    context.found.add("E0111", message, node.span)
    return None


def items(context: Context, node: Node, key: str) -> Iterator[Scalar]:
    """Yield the words of a list; report what is none."""
    if not isinstance(node, Listing):
        message = f"`{short(key)}` must be a list, but is {kind(node)}"
        context.found.add("E0111", message, node.span, "write it as `[a, b]`")
        return
    for item in node.items:
        if isinstance(item, Scalar):
            yield item
        else:
            message = f"an entry of `{short(key)}` must be a word, but is {kind(item)}"
            context.found.add("E0111", message, item.span)


def pairs(
    context: Context, node: Node, key: str, split: bool = False
) -> Iterator[tuple[Scalar, Node]]:
    """Yield the entries of a section; report what is not one, and repeated keys."""
    if not isinstance(node, Mapping):
        message = f"`{key}` must be a mapping, but is {kind(node)}"
        context.found.add("E0111", message, node.span, "one `name: value` per line")
        return
    if len(node.pairs) > MAX_ENTRIES:
        message = f"`{key}` has {len(node.pairs)} entries; the limit is {MAX_ENTRIES}"
        context.found.add("E0125", message, node.span, "a cell this large is not one cell")
        return
    seen: dict[str, Text] = {}
    for name, value in node.pairs:
        if not isinstance(name, Scalar):
            context.found.add("E0108", f"a key of `{key}` must be plain text", name.span)
            continue
        first = seen.setdefault(ascii_name(name.text), Text(name.text, name.span))
        if first.span == name.span:
            yield name, value
        elif not split:
            _repeated(context, Text(name.text, name.span), first, key)
        else:
            yield name, value


def _repeated(context: Context, name: Text, first: Text, key: str) -> None:
    message = f"duplicate key `{short(name.value)}` in `{key}`"
    related = (Related("first defined here", first.span),)
    context.found.add("E0109", message, name.span, "", "defined again here", related)


def _names(context: Context, key: Scalar, what: str) -> Iterator[Text]:
    """Yield the names of a key that may hold several."""
    where = places(key, context.lines)
    start = 0
    parts = key.text.split(",")
    if len(parts) > MAX_ENTRIES:
        message = f"a key declares {len(parts)} names; the limit is {MAX_ENTRIES}"
        context.found.add("E0125", message, key.span, "a cell this large is not one cell")
        return
    for part in parts:
        word = part.strip()
        first = start + len(part) - len(part.lstrip())
        span = located(where, first, first + max(1, len(word)), context.file)
        name = _checked(context, word, span, what)
        if name is not None:
            yield name
        start += len(part) + 1


def _name(context: Context, key: Scalar, what: str, prime: bool = False) -> Text | None:
    return _checked(context, key.text, key.span, what, prime)


def _checked(
    context: Context, word: str, span: Span, what: str, prime: bool = False
) -> Text | None:
    name = ascii_name(word)
    stem = name[:-1] if prime and name.endswith("'") else name
    if _NAME.fullmatch(stem) and len(stem) <= MAX_NAME:
        return Text(name, span)
    help = _LETTERS_HELP
    if len(stem) > MAX_NAME:
        help += f", at most {MAX_NAME} characters"
    elif "'" in stem:
        help += "; a prime, once, marks the equation for the next value of a state"
    elif "," in stem:
        help += "; several names in one key are for parameters"
    shown = f"`{word}`" if len(word) <= 60 and word.isprintable() else quoted(word)
    context.found.add("E0114", f"{shown} is not a valid name for {what}", span, help)
    return None


def _vectors(context: Context, node: Node, key: str, what: str) -> tuple[Declared, ...]:
    result = []
    for name, value in pairs(context, node, key):
        checked = _name(context, name, what)
        dims = _dimensions(context, value, name.text)
        if dims is not None and len(dims) != 1:
            message = f"{what} has one dimension, but `{short(name.text)}` has {len(dims)}"
            help = f"write `{short(name.text)}: {'hidden' if key == 'states' else 'input'}`"
            context.found.add("E0118", message, value.span, help)
        elif checked is not None and dims is not None:
            result.append(Declared(checked, dims))
    return tuple(result)


def _dimensions(context: Context, node: Node, name: str) -> tuple[Text, ...] | None:
    """Read the dimensions of a declaration; None where they cannot be read."""
    if isinstance(node, Mapping) or (isinstance(node, Scalar) and not node.text):
        message = f"`{short(name)}` has no dimensions"
        help = "write `[hidden]`, or `[]` for a scalar that learns"
        context.found.add("E0118", message, node.span, help)
        return None
    if isinstance(node, Listing) and len(node.items) > 2:
        message = f"`{short(name)}` has {len(node.items)} dimensions; at most 2 are supported"
        context.found.add("E0120", message, node.span, "split it into matrices")
        return None
    found = [node] if isinstance(node, Scalar) else list(items(context, node, name))
    dims = []
    for item in found:
        word = ascii_name(item.text)
        if _DIMENSION.fullmatch(word):
            dims.append(Text(word, item.span))
        elif _NUMBER.fullmatch(item.text):
            message = f"dimension `{short(item.text)}` is a number"
            help = "name it (for example `hidden`) and give its size when you build the cell"
            context.found.add("E0119", message, item.span, help)
        else:
            message = f"{quoted(item.text)} is not a valid name for a dimension"
            help = "lower-case letters, digits and `_`, starting with a letter"
            context.found.add("E0114", message, item.span, help)
    return tuple(dims)


def short(text: str) -> str:
    """Return a text that fits into a message."""
    return text if len(text) <= 60 else text[:57] + "..."
