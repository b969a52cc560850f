"""LoadedCell -> Candidate: our own CPU kernels, as a user calls them.

Training is given plain parameters at every run, as they change with every step. Inference is given
what `weights` returns, once for all runs, as the layers of other libraries hold theirs.

Why validation and allocation are inside what is timed: a user pays for them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from gatewright.runtime.kernels import Gradients, Run
from gatewright.studies.jobs import Subject
from gatewright.studies.problem import Arrays, Candidate, Outcome, Problem

NAME = "gatewright"


@cache
def kernels(subject: Subject, threads: int) -> Any:
    """Return a cell's kernels in single precision, compiled once in a process."""
    loaded = subject.load()
    return loaded.compile(target="cpu", dtype="float32", threads=threads)


def weights(compiled: Any, parameters: Arrays) -> Any:
    """Return parameters as a user would hold them who only runs sequences forward."""
    return compiled.prepare(parameters)


def candidate(subject: Subject, problem: Problem, task: str, threads: int) -> Candidate:
    """Return our kernels as a candidate."""
    compiled = kernels(subject, threads)
    inputs = problem.inputs
    x: Any = inputs if len(inputs) > 1 else next(iter(inputs.values()))

    fixed = weights(compiled, problem.parameters) if task == "inference" else {}

    def infer() -> Run:
        run: Run = compiled.forward(fixed, x, problem.state, keep=False)
        return run

    def train() -> tuple[Run, Gradients]:
        run: Run = compiled.forward(problem.parameters, x, problem.state)
        return run, compiled.backward(run, problem.ct_y)

    def read(found: tuple[Run, Gradients]) -> Outcome:
        run, gradients = found
        of_inputs: Arrays = gradients.x if len(inputs) > 1 else dict.fromkeys(inputs, gradients.x)
        return Outcome(run.y, {**of_inputs, **gradients.state, **gradients.parameters})

    if task == "training":
        return Candidate(NAME, train, read)
    return Candidate(NAME, infer, lambda run: Outcome(run.y, {}))
