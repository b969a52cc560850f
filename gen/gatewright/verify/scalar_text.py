"""Generated text -> its parts, and the scalar expressions in it -> terms.

Read with Python's own grammar, so an operator binds as it does when the file runs, whatever the
printer meant. Comparisons become functions that are 1 or 0, and a conditional their sum.

Why real numbers only: that a kernel keeps NaN and rounds is measured by `gatewright grad`; what the
text means is decided here.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from gatewright.claims.formulas import called
from gatewright.claims.terms import Term, Terms
from gatewright.python_syntax import parsed

RUNTIME = "gatewright.runtime."
Element = Callable[[ast.expr, Mapping[str, Any]], Term]


class TextError(Exception):
    """What the text does cannot be given a meaning: it names, with the line, what is wrong."""

    def __init__(self, message: str, node: ast.AST) -> None:
        super().__init__(f"line {getattr(node, 'lineno', 0)}: {message}")


class GeneratedFile:
    """A generated file by its parts: routines, what it imports, and the places of its arrays."""

    def __init__(self, text: str) -> None:
        self.routines: dict[str, ast.FunctionDef] = {}
        self.imported: set[str] = set()
        self.places: dict[str, dict[str, str]] = {}
        self.dims: dict[str, int] = {}
        self.stacks: dict[str, int] = {}
        for statement in parsed(text).body:
            match statement:
                case ast.FunctionDef(name=name):
                    if name in self.routines or name in self.imported:
                        raise TextError(f"`{name}` is defined twice", statement)
                    self.routines[name] = statement
                case ast.ImportFrom(module=module, names=names) if module and RUNTIME in module:
                    for each in names:
                        if each.asname not in (None, each.name):
                            raise TextError(f"`{each.name}` under another name", statement)
                        self.imported.add(each.name)
                case ast.Assign(value=ast.Call(keywords=keywords)):
                    for keyword in keywords:
                        if keyword.arg in ("forward", "reverse"):
                            self.places[keyword.arg] = _places(keyword.value)
                        elif keyword.arg == "parameters":
                            self.dims = {
                                n: len(d) for n, d in ast.literal_eval(keyword.value).items()
                            }
                        elif keyword.arg == "stacks":
                            for stacks in ast.literal_eval(keyword.value).values():
                                self.stacks |= {n: len(stack) for stack in stacks for n in stack}

    def pitch(self, array: str) -> int:
        """Return how many arrays stand side by side where an array is."""
        return self.stacks.get(array, 1)

    def place_of(self, array: str) -> str:
        """Return the place of an array, empty for a parameter."""
        return next((each[array] for each in self.places.values() if array in each), "")

    def indexed(self, array: str, index: ast.expr) -> bool:
        """Tell whether an index is that of a vector or of a number among the parameters."""
        return {1: "unit", 0: "0"}.get(self.dims.get(array, 2)) == ast.unparse(index)

    def device(self) -> Iterator[ast.FunctionDef]:
        """Yield the functions of scalars."""
        yield from (r for r in self.routines.values() if kind(r) == "device")


def kind(routine: ast.FunctionDef) -> str:
    """Return `device`, `rows`, `units` or `driver`."""
    (decorator,) = routine.decorator_list
    return decorator.id if isinstance(decorator, ast.Name) else ""


def _places(node: ast.expr) -> dict[str, str]:
    assert isinstance(node, ast.Dict)
    found = {}
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(value, ast.Tuple):
            (first, *_) = value.elts
            found[str(key.value)] = str(getattr(first, "value", ""))
    return found


class Scalars:
    """Reads scalar expressions of one file.

    `functions` gives, for a function that the file defines, the name of the row of the function
    table that it was proved to be; `element` reads an array, or a name that is not a term.
    """

    def __init__(
        self, file: GeneratedFile, terms: Terms, functions: Mapping[str, str], element: Element
    ) -> None:
        self.file, self.terms, self.functions, self.element = file, terms, functions, element

    def body(self, routine: ast.FunctionDef, values: list[Term]) -> list[Term]:
        """Return what a function of scalars returns."""
        names = [arg.arg for arg in routine.args.args]
        if len(names) != len(values):
            raise TextError(f"`{routine.name}` gets {len(values)} arguments", routine)
        own: dict[str, Any] = dict(zip(names, values, strict=True))
        for statement in routine.body:
            match statement:
                case ast.Expr(value=ast.Constant()):
                    continue
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    own[name] = self.read(value, own)
                case ast.Return(value=ast.Tuple(elts=elements)):
                    return [self.read(each, own) for each in elements]
                case ast.Return(value=ast.expr() as value):
                    return [self.read(value, own)]
                case _:
                    break
        raise TextError(f"`{routine.name}` has no meaning", routine)

    def read(self, node: ast.expr, env: Mapping[str, Any]) -> Term:
        """Return the term of an expression of scalars."""
        terms = self.terms
        match node:
            case ast.Call(func=ast.Name(id="real"), args=[number]):
                return terms.number(_literal(number))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                parts = [self.read(each, env) for each in arguments]
                return called(terms, self._function(name, node), parts)
            case ast.Name(id=name) if isinstance(env.get(name), Term):
                known: Term = env[name]
                return known
            case ast.Name() | ast.Subscript():
                return self.element(node, env)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return terms.negate(self.read(operand, env))
            case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
                return self._power(self.read(base, env), exponent)
            case ast.BinOp(left=left, op=operator, right=right):
                one, other = self.read(left, env), self.read(right, env)
                combine = {
                    ast.Add: terms.add,
                    ast.Sub: terms.subtract,
                    ast.Mult: terms.multiply,
                    ast.Div: terms.divide,
                }.get(type(operator))
                if combine is not None:
                    return combine(one, other)
            case ast.IfExp(test=ast.Name(id=name)) if isinstance(env.get(name), bool):
                return self.read(node.body if env[name] else node.orelse, env)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                weight = self._truth(test, env)
                other = terms.multiply(terms.subtract(terms.one, weight), self.read(orelse, env))
                return terms.add(terms.multiply(weight, self.read(body, env)), other)
        raise TextError(f"`{ast.unparse(node)}` has no meaning", node)

    def _function(self, name: str, node: ast.AST) -> str:
        if name in self.functions:
            return self.functions[name]
        if name in self.file.imported:
            return name
        raise TextError(f"`{name}` is not known", node)

    def _power(self, base: Term, exponent: ast.expr) -> Term:
        value = _literal(exponent)
        if value.denominator == 1:
            return self.terms.power(base, int(value))
        return self.terms.apply(f"power_{float(value)!r}", base)

    def _truth(self, test: ast.expr, env: Mapping[str, Any]) -> Term:
        """Return 1 where a comparison of real numbers holds, else 0. None of them is NaN."""
        terms = self.terms
        match test:
            case ast.BoolOp(op=ast.Or(), values=[first, second]):
                one, other = self._truth(first, env), self._truth(second, env)
                return terms.subtract(terms.add(one, other), terms.multiply(one, other))
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                one, other = self.read(left, env), self.read(right, env)
                if one is other:
                    return terms.one if isinstance(operator, ast.Eq) else terms.zero
                above = terms.apply("positive", terms.subtract(one, other))
                below = terms.apply("positive", terms.subtract(other, one))
                match operator:
                    case ast.Gt():
                        return above
                    case ast.Lt():
                        return below
                    case ast.Eq():
                        return terms.subtract(terms.one, terms.add(above, below))
        raise TextError(f"`{ast.unparse(test)}` has no meaning", test)


def _literal(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as value):
            return Fraction(repr(value))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_literal(operand)
        case ast.Call(func=ast.Name(id="real"), args=[inner]):
            return _literal(inner)
    raise TextError(f"`{ast.unparse(node)}` is not a number", node)
