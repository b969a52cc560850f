"""Text -> text: the letters of the spec language, and what to say about every other character.

A Greek letter is another spelling of its English name, so `α_t` and `alpha_t` are one name and
everything after the parser is ASCII.

Why not Unicode identifiers: Python's own rule merges `ℎ` with `h` and keeps the Cyrillic `а` apart
from `a`, so two names that look alike would differ and two that look different would not.
"""

from __future__ import annotations

import re
import unicodedata

GREEK: dict[str, str] = {
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "δ": "delta",
    "ε": "epsilon",
    "ϵ": "epsilon",
    "ζ": "zeta",
    "η": "eta",
    "θ": "theta",
    "ι": "iota",
    "κ": "kappa",
    "λ": "lambda",
    "μ": "mu",
    "ν": "nu",
    "ξ": "xi",
    "π": "pi",
    "ρ": "rho",
    "σ": "sigma",
    "τ": "tau",
    "υ": "upsilon",
    "φ": "phi",
    "ϕ": "phi",
    "χ": "chi",
    "ψ": "psi",
    "ω": "omega",
    "Γ": "Gamma",
    "Δ": "Delta",
    "Θ": "Theta",
    "Λ": "Lambda",
    "Ξ": "Xi",
    "Π": "Pi",
    "Σ": "Sigma",
    "Φ": "Phi",
    "Ψ": "Psi",
    "Ω": "Omega",
}

# What papers print for an operator that the language writes in ASCII.
OPERATOR_ALIASES: dict[str, str] = {
    "⊙": "*",
    "∘": "*",
    "×": "*",
    "·": "*",
    "−": "-",
    "**": "^",
}

MAX_NAME = 64
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*'?")
LETTERS = f"A-Za-z_{''.join(GREEK)}"


def ascii_name(text: str) -> str:
    """Return a name with its Greek letters spelled out; `σ` alone is the function `sigmoid`."""
    if text == "σ":
        return "sigmoid"
    return "".join(GREEK.get(letter, letter) for letter in text)


def is_name(text: str) -> bool:
    """Tell whether text is a name in ASCII, with at most one prime."""
    return len(text) <= MAX_NAME and NAME.fullmatch(text) is not None


def describe(character: str) -> str:
    """Return the code point and the Unicode name of a character: `U+0430 CYRILLIC SMALL LETTER A`.

    A character without a name is called by its kind, as in `U+0000 (control)`.
    """
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X} {name or '(control)'}"


def foreign_help(character: str) -> str:
    """Say what the author probably meant by a character that is not in the language."""
    plain = unicodedata.normalize("NFKC", character)
    name = unicodedata.name(character, "")
    if name.startswith("SUPERSCRIPT") and plain.isascii():
        return f"a power is written `^{plain}`"
    if plain != character and (plain.isascii() or plain in GREEK):
        where = "in ASCII" if plain.isascii() else "with that letter"
        return f"looks like `{plain}`; write it {where}"
    if character.isalpha():
        return (
            "names use ASCII letters, digits, `_` and common Greek letters; "
            f"this is {name}, not a Latin letter"
        )
    return ""
