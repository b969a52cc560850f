"""Text -> Family: what the author of a claim file typed, with the place of every part.

    family: gru_conventions
    title: What the update gate keeps
    cells:                  # used in this file only; one may extend another
      gru_keep: {...}
      mine: my_cell.yaml    # a cell of one's own, by its path from the folder of this file
    claims:
      update_gate_negated: {...}

Why forms are checked here and meaning in `resolve`: as for cells, a mistake in form must not make
a second one in meaning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gatewright.claims.claim_text import ClaimText, read_claim
from gatewright.language import fields
from gatewright.language.diagnostics import Findings, Span, is_hidden
from gatewright.language.fields import CELL_NAME, Context
from gatewright.language.reader import document, read_inline, scalars, sections
from gatewright.language.scalar_places import Lines
from gatewright.language.shelf import is_path
from gatewright.language.source_text import check_text, hidden_character, read_text
from gatewright.language.spec import Spec, Text
from gatewright.language.yaml_nodes import Mapping, Node, Scalar

FILE_KEYS = ("family", "title", "cells", "claims")
HERE = Path()


@dataclass(frozen=True)
class Family:
    """The claims of one file, the cells defined in it and the files of those that are not.

    `folder` is where paths begin that are not absolute.
    """

    file: str
    source: str
    name: str
    title: str
    cells: tuple[tuple[str, Spec], ...]
    files: tuple[tuple[str, Text], ...]
    claims: tuple[ClaimText, ...]
    folder: Path


def read_family(path: str | Path, file: str = "") -> Family:
    """Return the family in a file; `file` is its name in messages. Raises SpecError."""
    file = file or str(path)
    return read_family_text(read_text(path, file), file, Path(path).parent)


def read_family_text(text: str, file: str = "claims.yaml", folder: Path = HERE) -> Family:
    """Return the family in a text. Raises SpecError with every mistake in its form."""
    text = check_text(text, file)
    top = document(text, file, "a claim file has a `family:` and `claims:`")
    found = Findings({file: text})
    for node in scalars(top):
        hidden = next((each for each in node.text if is_hidden(each)), "")
        if hidden:
            found.found.append(hidden_character(hidden, node.span))
    found.check()
    context = Context(file, Lines(text), found)
    parts, meant = sections(top, FILE_KEYS, "the file", found)
    for key in ("family", "claims"):
        if key not in parts and key not in meant:
            example = "family: my_claims" if key == "family" else "claims:"
            span = Span(file, top.span.line, top.span.column, top.span.line, 2)
            found.add("E0112", f"required key `{key}` is missing", span, f"add a line `{example}`")
    name = fields.cell_name(context, parts["family"][1]) if "family" in parts else None
    title = fields.title(context, parts["title"][1]) if "title" in parts else ""
    cells = list(_cells(context, parts["cells"][1])) if "cells" in parts else []
    claims = tuple(_claims(context, parts["claims"][1])) if "claims" in parts else ()
    found.check()
    assert name is not None
    return Family(
        file,
        text,
        name.value,
        title or name.value,
        tuple((key, each) for key, each in cells if isinstance(each, Spec)),
        tuple((key, each) for key, each in cells if isinstance(each, Text)),
        claims,
        folder,
    )


def _cells(context: Context, node: Node) -> Iterator[tuple[str, Spec | Text]]:
    for key, body in fields.pairs(context, node, "cells"):
        if isinstance(body, Scalar) and is_path(body.text):
            name = fields.cell_name(context, key)
            if name is not None:
                yield name.value, Text(body.text, body.span)
            continue
        if not isinstance(body, Mapping):
            message = f"cell `{fields.short(key.text)}` must be a mapping, but is "
            help = "write the keys of a spec under it, such as `extends: lstm`, or name a file: "
            help += f"`{fields.short(key.text)}: my_cell.yaml`"
            context.found.add("E0111", message + fields.kind(body), body.span, help)
            continue
        if not _extends_a_file(context, body):
            spec = read_inline(context, key, body)
            if spec is not None:
                yield spec.cell.value, spec


def _extends_a_file(context: Context, body: Mapping) -> bool:
    """Report a cell that extends a path: paths stand under `cells:`, each once and with a name."""
    for key, value in body.pairs:
        named = isinstance(key, Scalar) and key.text == "extends"
        if named and isinstance(value, Scalar) and is_path(value.text):
            message = f"`{fields.short(value.text)}` is not the name of a cell"
            help = f"name the file under `cells:`, as `mine: {fields.short(value.text)}`, and "
            context.found.add("E0114", message, value.span, help + "write `extends: mine`")
            return True
    return False


def _claims(context: Context, node: Node) -> Iterator[ClaimText]:
    for key, body in fields.pairs(context, node, "claims"):
        if not CELL_NAME.fullmatch(key.text):
            message = f"`{fields.short(key.text)}` is not a valid name for a claim"
            help = "lower-case letters, digits and `_`, starting with a letter"
            context.found.add("E0114", message, key.span, help)
        elif not isinstance(body, Mapping):
            message = f"claim `{key.text}` must be a mapping, but is {fields.kind(body)}"
            context.found.add("E0111", message, body.span, "start with `statement: …`")
        else:
            claim = read_claim(context, Text(key.text, key.span), body)
            if claim is not None:
                yield claim
