"""Generated text, Programs -> proved or not: what a file computes is what the Programs say.

Each function that the file defines is proved to be its row of the function table, branch by branch,
equal arguments included. Then `forward` and `backward` are run on symbols, for a few time steps in
chunks of every length, and every slab that they leave is held against the Programs, run step by
step the same way. The Programs are held against the Cell in `claims.translation`.

So a file is proved for all sizes of its arrays and all numbers, and for `STEPS` time steps. Longer
sequences run the same loops; `gatewright grad` samples those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gatewright.claims.function_rows import Meanings, branchwise
from gatewright.claims.identities import Comparison, Identities, Pairs
from gatewright.claims.normal_form import TooLargeError
from gatewright.claims.terms import Term, Terms
from gatewright.claims.theory import Quality
from gatewright.claims.translation import Values, gradients, run_program
from gatewright.emit.printer import SPELLING
from gatewright.language.cell import Dims
from gatewright.language.functions import FUNCTIONS
from gatewright.program.compile import Programs
from gatewright.program.ir import Role
from gatewright.verify.pointer_run import PointerMachine
from gatewright.verify.scalar_text import GeneratedFile, Scalars, TextError
from gatewright.verify.symbolic_run import WHOLE, Machine, Slot

STEPS = 3
ROW_OF = {spelled: name for name, spelled in SPELLING.items()}


def text_verified(text: str, programs: Programs) -> Identities:
    """Return the identities of one generated file. Raises TooLargeError."""
    try:
        file = GeneratedFile(text)
        found, functions = functions_verified(file)
        if not found.broken:
            for chunk, wholes in _variants(file):
                _Sequence(file, programs, functions, chunk, wholes, found).verify()
    except TextError as problem:
        found = Identities(1, [str(problem)])
    return found


def _variants(file: GeneratedFile) -> Iterator[tuple[int, bool]]:
    """Yield lengths of chunks, and whether a kernel of all steps runs in the place of steps."""
    if "this_row" in file.imported:
        yield STEPS, False
        yield STEPS, True
        return
    yield from ((chunk, False) for chunk in range(1, STEPS + 1))


def functions_verified(file: GeneratedFile) -> tuple[Identities, dict[str, str]]:
    """Hold the functions of scalars against the function table.

    Returns the identities, and by name the row that a function was proved to be. Functions that are
    no row's are stages of the cell, which are proved with all that calls them.
    """
    found = Identities()
    names: dict[str, str] = {}
    for routine in file.device():
        row = FUNCTIONS.get(ROW_OF.get(routine.name, routine.name))
        if row is None:
            continue
        terms = Terms()
        meaning = Meanings(terms, FUNCTIONS)
        arguments = [terms.variable(argument) for argument in row.arguments]
        scalars = Scalars(file, terms, names, _no_array)
        (value,) = scalars.body(routine, arguments)
        what = f"the printed `{routine.name}` is not {row.name}"
        branchwise(terms, meaning.of(row.name, arguments), meaning.expanded(value), what, found)
        names[routine.name] = row.name
    return found, names


def _no_array(node: object, _: object) -> Term:
    raise TextError("a function of scalars reads something else", node)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Step:
    """What the Programs compute in one time step."""

    values: dict[str, Term]
    reverse: dict[str, Term]


class _Sequence:
    """A few time steps of one cell: as the Programs run them, and as the text does."""

    def __init__(
        self,
        file: GeneratedFile,
        programs: Programs,
        functions: Mapping[str, str],
        chunk: int,
        wholes: bool,
        found: Identities,
    ) -> None:
        self.programs, self.chunk, self.file, self.wholes = programs, chunk, file, wholes
        self.terms = Terms()
        self.functions = functions
        forward = programs.forward
        self.whole = forward.roles(Role.PARAMETER, Role.CONSTANT)
        scalars = {v.name: Quality.SCALAR for v in self.whole if not v.dims}
        self.compare = Comparison(self.terms, scalars, self._dims())
        self.compare.found = found
        self.outers: dict[str, Pairs] = {}
        self.sums: dict[str, Term] = {}
        self.steps = self._steps()

    def _dims(self) -> dict[str, Dims]:
        found = {variable.name: variable.dims for variable in self.whole}
        forward = self.programs.forward
        for step in range(STEPS):
            found |= {f"{v.name}[{step}]": v.dims for v in forward.roles(Role.INPUT)}
            found[f"ct_y[{step}]"] = forward.variables[forward.results[0]].dims
        for state in forward.roles(Role.STATE):
            found[state.name] = found[f"ct_{state.name}_next"] = state.dims
        return found

    def _steps(self) -> list[_Step]:
        forward, reverse = self.programs.forward, self.programs.reverse
        carried: dict[str, Term] = {}
        done: list[dict[str, Term]] = []
        for step in range(STEPS):
            values = Values(self.terms)
            values.known |= carried
            for variable in forward.roles(Role.INPUT):
                values.known[variable.name] = self.terms.variable(f"{variable.name}[{step}]")
            run_program(self.terms, forward, values)
            # What the reverse reads of the states is what the step began with.
            known = {s.name: values.vector(s.name) for s in forward.roles(Role.STATE)}
            done.append({**values.known, **known})
            carried = {start: values.known[end] for start, end in forward.carried}
        steps: list[_Step] = []
        adjoint: dict[str, Term] = {}
        for step in reversed(range(STEPS)):
            values = Values(self.terms)
            values.known |= {**done[step], **adjoint}
            values.known["ct_y"] = self.terms.variable(f"ct_y[{step}]")
            run_program(self.terms, reverse, values)
            self._summed(values)
            adjoint = {start: values.vector(end) for start, end in reverse.carried}
            steps.insert(0, _Step(done[step], values.known))
        return steps

    def _summed(self, values: Values) -> None:
        outers, sums = gradients(self.terms, self.programs.reverse, values)
        for name, pairs in outers.items():
            self.outers[name] = [*self.outers.get(name, []), *pairs]
        for name, term in sums.items():
            self.sums[name] = self.terms.add(self.sums.get(name, self.terms.zero), term)

    def verify(self) -> None:
        """Run both directions of the text and hold what they leave against the Programs."""
        if self._takes("forward", "kept"):
            self._forward(kept=False)
        self._backward(self._forward(kept=True), inputs=True)
        if self._takes("backward", "inputs"):
            self._backward(self._forward(kept=True), inputs=False)

    def _takes(self, routine: str, flag: str) -> bool:
        return any(arg.arg == flag for arg in self.file.routines[routine].args.args)

    def _forward(self, kept: bool) -> Machine:
        forward = self.programs.forward
        machine = self._machine()
        for variable in self.whole:
            machine.memory[variable.name, WHOLE] = self.terms.variable(variable.name)
        for variable in forward.roles(Role.INPUT):
            for step in range(STEPS):
                term = self.terms.variable(f"{variable.name}[{step}]")
                machine.memory[variable.name, step] = term
        for state in forward.roles(Role.STATE):
            machine.memory[state.name, 0] = self.terms.variable(state.name)
        machine.run("forward", {"T": STEPS, "chunk": self.chunk, "kept": kept}, "forward")
        title = "forward" if kept else "forward without saving"
        for (array, at), wanted in self._left_by_forward(kept):
            self._slab(machine, (array, at), wanted, title)
        return machine

    def _machine(self) -> Machine:
        if "this_row" in self.file.imported:
            return PointerMachine(self.file, self.terms, self.functions, self.wholes)
        return Machine(self.file, self.terms, self.functions)

    def _left_by_forward(self, kept: bool) -> Iterator[tuple[Slot, Term]]:
        forward = self.programs.forward
        for step, known in enumerate(self.steps):
            for start, end in forward.carried:
                yield (start, step + 1), known.values[end]
            for name in forward.saved if kept else ():
                if self.file.places["forward"].get(name) == "saved":
                    yield (name, step), known.values[name]
            (output,) = forward.results[:1]
            if self.file.places["forward"].get(output) == "time":
                yield (output, step), known.values[output]

    def _backward(self, machine: Machine, inputs: bool) -> None:
        reverse, places = self.programs.reverse, self.file.places["reverse"]
        for step in range(STEPS):
            machine.memory["ct_y", step] = self.terms.variable(f"ct_y[{step}]")
        ends = dict(reverse.carried)
        for start, end in ends.items():
            last = STEPS % 2 if places.get(end) == "turns" else STEPS
            machine.memory[end, last] = self.terms.variable(start)
        flags = {"more": 0, "inputs": inputs}
        machine.run("backward", {"T": STEPS, "chunk": self.chunk, **flags}, "reverse")
        first = self.steps[0].reverse
        for end in ends.values():
            wanted = first.get(end, self.terms.variable(end))
            self._slab(machine, (end, 0), wanted, "backward")
        for variable in self.programs.forward.roles(Role.INPUT) if inputs else ():
            for step, known in enumerate(self.steps):
                name = f"d_{variable.name}"
                self._slab(machine, (name, step), known.reverse[name], "backward")
        for name, wanted in self.sums.items():
            self._slab(machine, (name, WHOLE), wanted, "backward")
        for name, pairs in self.outers.items():
            text = f"`{name}` in chunks of {self.chunk} is not the Program's (backward)"
            self.compare.note(machine.outers.get(name), pairs, text)

    def _slab(self, machine: Machine, slot: Slot, wanted: Term, title: str) -> None:
        array, step = slot
        at = array if step is None else f"{array}[{step}]"
        text = f"`{at}` in chunks of {self.chunk} is not the Program's ({title})"
        self.compare.equal(machine.memory.get(slot), wanted, text)


__all__ = ["STEPS", "TooLargeError", "functions_verified", "text_verified"]
