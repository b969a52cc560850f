"""Text -> Expr: read one equation of a spec.

A tokenizer and a Pratt parser for `+ - * / @ ^`, unary minus, calls, numbers and names. Names are
not looked up here: whether `W_z` was declared and `tanh` may be called is for `resolve` to say.

Why a parser of our own: `sympify` runs the text it is given, Python's `ast` merges look-alike
letters and overflows its stack on a long sum, and neither can tell an author what to write instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from gatewright.language.alphabet import (
    LETTERS,
    MAX_NAME,
    OPERATOR_ALIASES,
    ascii_name,
    describe,
    foreign_help,
)
from gatewright.language.expression import PRECEDENCE, Binary, Call, Expr, Name, Negate, Number
from gatewright.language.expression import Operator as BinaryOperator
from gatewright.language.references import MEANT, read_reference

MAX_NESTING = 64
MAX_NODES = 2000
# Every stage walks trees by recursion; a chain of this length stays far from Python's limit.
MAX_HEIGHT = 128
MAX_NUMBER_TEXT = 40
MAX_EXPONENT = 16

_PLAIN = rf"""(?P<space>[ \t\r\n]+)
    | (?P<number>\.?[0-9][0-9.]*(?:[eE][+-]?[0-9]+)?)
    | (?P<name>[{LETTERS}][0-9{LETTERS}]*'?)
    | (?P<symbol>\*\*|[-+*/@^(),⊙∘×·−])
    """
_TOKEN = re.compile(_PLAIN, re.VERBOSE)
_CLAIM_TOKEN = re.compile(f"(?P<reference>{MEANT}) | {_PLAIN}", re.VERBOSE)
_PLAIN_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_OPERATORS: dict[str, BinaryOperator] = {
    "+": "+",
    "-": "-",
    "*": "*",
    "/": "/",
    "@": "@",
    "^": "^",
}
_FOREIGN_HELP = {
    "<": "use max or min",
    ">": "use max or min",
    "=": "the name on the left is the YAML key; write only the right-hand side",
    "{": "subscripts are written with `_`, as in W_i",
    "}": "subscripts are written with `_`, as in W_i",
    "[": "there is no indexing; a name stands for the whole array",
    "]": "there is no indexing; a name stands for the whole array",
    "'": "a prime follows the name of a state, once, as in `h'`",
}


class EquationError(Exception):
    """The author's mistake in one equation; `start` and `end` are code points into its text."""

    def __init__(
        self, code: str, message: str, start: int, end: int, help: str = "", label: str = ""
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.start = start
        self.end = end
        self.help = help
        self.label = label


@dataclass(frozen=True, slots=True)
class Token:
    """A number, a name, a symbol or the end; `text` is in house style, the place is not."""

    kind: str
    text: str
    start: int
    end: int


def parse(text: str, references: bool = False) -> Expr:
    """Return the tree of an equation's right-hand side.

    Raises EquationError at the first mistake. An exponent is one Number, negative or not; any
    other minus sign is a Negate. With `references`, names may be those of a claim: `gru.h[t-1]`.
    """
    tokens = tokenize(text, references)
    if not tokens:
        raise EquationError("E0200", "the equation is empty", 0, len(text), "write its value")
    return _Parser(tokens, len(text)).whole()


def tokenize(text: str, references: bool = False) -> list[Token]:
    """Split an equation into tokens, with aliases and Greek letters in house style."""
    tokens: list[Token] = []
    position = 0
    pattern = _CLAIM_TOKEN if references else _TOKEN
    while position < len(text):
        match = pattern.match(text, position)
        if match is None:
            raise _foreign(text[position], position)
        start, position = match.span()
        kind = match.lastgroup or ""
        if kind == "number":
            _check_number(match.group(), text, start, position)
            tokens.append(Token(kind, match.group(), start, position))
        elif kind == "name":
            tokens.append(Token(kind, _checked_name(match.group(), start), start, position))
        elif kind == "reference":
            tokens.append(Token("name", _reference(match.group(), start), start, position))
        elif kind == "symbol":
            symbol = OPERATOR_ALIASES.get(match.group(), match.group())
            tokens.append(Token(kind, symbol, start, position))
    return tokens


def _reference(text: str, start: int) -> str:
    found = read_reference(text)
    if isinstance(found, str):
        message = f"`{text[:60]}` is not a value at a step"
        raise EquationError("E0604", message, start, start + len(text), found)
    return str(found)


def _foreign(character: str, position: int) -> EquationError:
    if character.isascii() and character.isprintable() and character != ".":
        help = _FOREIGN_HELP.get(character, "operators are + - * / @ ^ and function calls")
        message = f"`{character}` is not part of the equation language"
        return EquationError("E0202", message, position, position + 1, help)
    message = f"character {character!r} ({describe(character)}) cannot be used here"
    return EquationError("E0201", message, position, position + 1, foreign_help(character))


def _check_number(number: str, text: str, start: int, end: int) -> None:
    if len(number) > MAX_NUMBER_TEXT or not _PLAIN_NUMBER.fullmatch(number):
        help = f"numbers look like 2, 0.5 or 1e-3, at most {MAX_NUMBER_TEXT} characters"
        raise EquationError("E0204", "malformed number", start, end, help)
    follower = re.compile(rf"[{LETTERS}]").match(text, end)
    if follower is not None:
        help = f"write `{number} * {follower.group()}…`; products need an explicit `*`"
        raise EquationError("E0203", "a number runs into a name", start, end + 1, help)
    value = float(number)
    if value == float("inf"):
        help = "the largest double is about 1.8e308"
        raise EquationError("E0204", "number is too large for a double", start, end, help)
    if value == 0 and re.search("[1-9]", re.split("[eE]", number)[0]):
        help = "the smallest positive double is about 4.9e-324"
        raise EquationError("E0204", "number is too small for a double", start, end, help)


def _checked_name(text: str, start: int) -> str:
    name = ascii_name(text)
    if len(name.rstrip("'")) > MAX_NAME:
        message = f"a name is longer than {MAX_NAME} characters"
        raise EquationError("E0205", message, start, start + len(text), "give it a shorter name")
    return name


class _Parser:
    """One pass over the tokens of one equation.

    Every method that returns a tree returns its height beside it.
    """

    def __init__(self, tokens: list[Token], length: int) -> None:
        self.tokens = tokens
        self.end = Token("end", "", length, length)
        self.index = 0
        self.nodes = 0
        self.open: list[Token] = []

    @property
    def next(self) -> Token:
        return self.tokens[self.index] if self.index < len(self.tokens) else self.end

    def take(self) -> Token:
        token = self.next
        self.index += 1
        return token

    def at(self, symbol: str) -> bool:
        return self.next.kind == "symbol" and self.next.text == symbol

    def whole(self) -> Expr:
        expr, _ = self.expression(0)
        if self.next.kind != "end":
            raise self.no_operator()
        return expr

    def expression(self, minimum: int) -> tuple[Expr, int]:
        """Read operands joined by operators that bind tighter than `minimum`."""
        left, height = self.signed()
        while self.next.kind == "symbol" and self.next.text in _OPERATORS:
            operator = _OPERATORS[self.next.text]
            if operator == "^" or PRECEDENCE[operator] <= minimum:
                break
            sign = self.take()
            if operator in "+-" and (self.at("-") or self.at("+")):
                raise self.two_signs()
            right, below = self.expression(PRECEDENCE[operator])
            height = self.count(sign, max(height, below))
            left = Binary(operator, left, right, left.start, right.end)
        return left, height

    def signed(self) -> tuple[Expr, int]:
        if not self.at("-"):
            return self.power()
        sign = self.take()
        if self.at("-") or self.at("+"):
            raise self.two_signs()
        operand, height = self.power()
        return Negate(operand, sign.start, operand.end), self.count(sign, height)

    def power(self) -> tuple[Expr, int]:
        base, height = self.atom()
        if not self.at("^"):
            return base, height
        caret = self.take()
        exponent = self.exponent()
        return (
            Binary("^", base, exponent, base.start, exponent.end),
            self.count(caret, max(height, 1)),
        )

    def exponent(self) -> Number:
        first = self.next
        if first.kind == "end":
            raise self.ends_early()
        wrapped = self.at("(")
        if wrapped:
            self.take()
        negative = self.at("-")
        if negative:
            self.take()
        token = self.take()
        closed = not wrapped or self.at(")")
        if wrapped and closed:
            self.take()
        if token.kind != "number" or not closed or self.at("^"):
            message = "the exponent must be a number"
            help = "write exp(b * log(a)) for a general power"
            raise EquationError("E0405", message, first.start, max(first.end, token.end), help)
        end = self.tokens[self.index - 1].end
        value = float(token.text)
        if value > MAX_EXPONENT:
            message = f"the exponent must lie between -{MAX_EXPONENT} and {MAX_EXPONENT}"
            help = "write exp(b * log(a)) for a general power"
            raise EquationError("E0405", message, first.start, end, help)
        self.count(token, 0)
        return Number(-value if negative and value else value, first.start, end)

    def atom(self) -> tuple[Expr, int]:
        token = self.next
        if token.kind == "end":
            raise self.ends_early()
        self.take()
        if token.kind == "number":
            return Number(float(token.text), token.start, token.end), self.count(token, 0)
        if token.kind == "name":
            if token.text.startswith("_"):
                message = f"`{token.text}` is not a name"
                raise EquationError(
                    "E0205", message, token.start, token.end, "names start with a letter"
                )
            if self.at("("):
                return self.call(token)
            return Name(token.text, token.start, token.end), self.count(token, 0)
        if token.text == "(":
            self.opened(token)
            inner, height = self.expression(0)
            close = self.closed()
            return replace(inner, start=token.start, end=close.end), height
        raise self.no_value(token)

    def call(self, name: Token) -> tuple[Expr, int]:
        self.opened(self.take())
        arguments: list[Expr] = []
        height = 0
        while not (self.at(")") and not arguments):
            argument, below = self.expression(0)
            arguments.append(argument)
            height = max(height, below)
            if not self.at(","):
                break
            self.take()
        close = self.closed()
        call = Call(name.text, tuple(arguments), name.start, close.end)
        return call, self.count(name, height)

    def opened(self, token: Token) -> None:
        self.open.append(token)
        if len(self.open) > MAX_NESTING:
            message = f"nested more than {MAX_NESTING} levels deep"
            help = "name the inner part in its own equation"
            raise EquationError("E0208", message, token.start, token.end, help)

    def closed(self) -> Token:
        if self.at(")"):
            self.open.pop()
            return self.take()
        if self.next.kind == "end":
            opened = self.open[-1]
            message = "a `(` is never closed"
            help = "add `)` where the group or the argument ends"
            raise EquationError("E0206", message, opened.start, opened.end, help)
        raise self.no_operator()

    def count(self, token: Token, below: int) -> int:
        """Count one node over a tree of height `below` and return the new height."""
        self.nodes += 1
        if self.nodes > MAX_NODES or below >= MAX_HEIGHT:
            limit = (
                f"{MAX_NODES} numbers, names and operations"
                if self.nodes > MAX_NODES
                else f"{MAX_HEIGHT} operations one after the other"
            )
            message = f"the equation is too long: more than {limit}"
            help = "name a part of it in its own equation"
            raise EquationError("E0209", message, token.start, token.end, help)
        return below + 1

    def two_signs(self) -> EquationError:
        help = "use parentheses: `a - (-b)`"
        return EquationError("E0210", "two signs in a row", self.next.start, self.next.end, help)

    def ends_early(self) -> EquationError:
        last = self.tokens[-1]
        help = "an operand is missing at the end"
        return EquationError("E0211", "the equation ends too early", last.start, last.end, help)

    def no_value(self, token: Token) -> EquationError:
        if token.text == ")" and not self.open:
            return self.unmatched(token)
        message = f"expected a value, found `{token.text}`"
        return EquationError("E0212", message, token.start, token.end, "an operand is missing here")

    def no_operator(self) -> EquationError:
        token = self.next
        if token.text == ")":
            return self.unmatched(token)
        if token.text == ",":
            message = "`,` stands between the arguments of a function only"
            return EquationError("E0213", message, token.start, token.end)
        message = f"expected an operator before `{token.text}`"
        help = "products need an explicit `*` or `@`"
        return EquationError("E0203", message, token.start, token.end, help)

    def unmatched(self, token: Token) -> EquationError:
        help = "remove it, or add the `(` it should close"
        return EquationError("E0207", "unmatched `)`", token.start, token.end, help)
