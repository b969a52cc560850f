"""Arguments -> exit code: the commands, and what becomes of every exception.

Exit codes: 0 fine; 1 the answer is no; 2 bad input; 3 a backend or extra is missing;
4 inconclusive; 70 our bug; 130 interrupted.

Why one place for exceptions: a command then only says what it does, and no path can end in a
traceback that the author of a spec would have to read.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import click

from gatewright import __version__
from gatewright.cli.bench import bench
from gatewright.cli.certify import certify
from gatewright.cli.cuda import cuda
from gatewright.cli.doctor import cache, doctor
from gatewright.cli.example import example
from gatewright.cli.export import export
from gatewright.cli.generate import generate
from gatewright.cli.grad import grad
from gatewright.cli.memory import memory
from gatewright.cli.output import print_json
from gatewright.cli.overhead import overhead
from gatewright.cli.prove import prove
from gatewright.cli.relate import assume, relate
from gatewright.cli.spec_commands import check, explain, fmt, new, transform
from gatewright.cli.verify import verify
from gatewright.cli.view_commands import list_cells, show

FINE, NO, BAD_INPUT, MISSING, INCONCLUSIVE, BUG, INTERRUPTED = 0, 1, 2, 3, 4, 70, 130

# What PyTorch says on a CPU, in a RuntimeError like many others.
PYTORCH_IS_FULL = "DefaultCPUAllocator"
# In the order in which a newcomer meets them.
SECTIONS = {
    "Cells": (list_cells, show, new, check, fmt, transform, explain),
    "Kernels and gradients": (generate, grad, verify),
    "Claims": (prove, assume, relate, certify),
    "Models": (example, export),
    "Measurements": (bench, overhead, memory),
    "This machine": (doctor, cuda, cache),
}


class Sections(click.Group):
    """A group of commands whose help lists them by section."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one line for each command below the heading of its section."""
        widest = max(len(name) for name in self.commands)
        for heading, listed in SECTIONS.items():
            with formatter.section(heading):
                # All columns begin where that of the longest name does.
                rows = [(f"{c.name:<{widest}}", c.get_short_help_str(100)) for c in listed]
                formatter.write_dl(rows)


@click.group(
    cls=Sections,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "--version", prog_name="gatewright")
def commands() -> None:
    """Recurrent cells from YAML to checked kernels.

    A CELL is the name of a cell in the catalogue (`gatewright list`) or the path of a YAML file.
    """


for command in (each for listed in SECTIONS.values() for each in listed):
    commands.add_command(command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every mistake ends in a sentence on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    with _interrupts() as interrupts:
        try:
            code = commands.main(given, prog_name="gatewright", standalone_mode=False)
            sys.stdout.flush()
            return int(code or FINE)
        except click.exceptions.Exit as stop:
            return stop.exit_code
        except click.ClickException as error:
            if interrupts:
                return _interrupted()
            error.show()
            return BAD_INPUT
        except (click.Abort, KeyboardInterrupt):
            return _interrupted()
        except BrokenPipeError:
            # The reader has gone; what Python would flush at exit must not raise again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FINE
        except Exception as error:  # every way out ends in a sentence
            return _interrupted() if interrupts else _report(error, as_json="--json" in given)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Note interrupts: a library that is being imported may make of one any other exception."""
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        signal.default_int_handler(number, frame)

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield seen
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupted() -> int:
    click.echo("interrupted", err=True)
    return INTERRUPTED


def _report(error: Exception, as_json: bool) -> int:
    from gatewright.emit.write import OutputError
    from gatewright.language.diagnostics import SpecError
    from gatewright.runtime.errors import BackendMissingError
    from gatewright.runtime.validate import ArgumentError

    if isinstance(error, SpecError):
        if as_json:
            print_json(diagnostics=error.to_json())
        click.echo(str(error), err=True)
        return BAD_INPUT
    if isinstance(error, ArgumentError | OutputError):
        click.echo(f"error: {error}", err=True)
        return BAD_INPUT
    if isinstance(error, BackendMissingError):
        click.echo(f"error: {error}", err=True)
        return MISSING
    if os.environ.get("GATEWRIGHT_DEBUG"):
        raise error
    if isinstance(error, MemoryError) or PYTORCH_IS_FULL in str(error):
        click.echo("error: these sizes need more memory than there is", err=True)
        return BAD_INPUT
    click.echo(
        f"error: this is a bug in gatewright, not in your spec: {type(error).__name__}: {error}\n"
        "     = help: please report it with the command you ran and what `gatewright doctor` "
        "prints; GATEWRIGHT_DEBUG=1 shows the traceback",
        err=True,
    )
    return BUG
