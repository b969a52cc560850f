"""The house: imports run one way, libraries have one door, files stay small, starting is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "gen" / "gatewright"
FILES = sorted(PACKAGE.rglob("*.py"))

# What each folder may import of the package; the command line may import everything.
MAY_IMPORT = {
    "language": {"language", "resources"},
    "program": {"program", "language"},
    "emit": {"emit", "program", "language", "python_syntax"},
    "claims": {"claims", "program", "language", "resources"},
    "runtime": {"runtime", "python_syntax"},
    "verify": {
        "verify",
        "claims",
        "program",
        "language",
        "runtime",
        "emit",
        "python_syntax",
    },
    # An example is written as its reader would write it.
    "examples": {"examples", "torch", "runtime", "loaded"},
    # A study is a user of the package: it begins with `load`.
    "studies": {
        "studies",
        "examples",
        "language",
        "program",
        "runtime",
        "emit",
        "loaded",
        "bridges",
        "python_syntax",
    },
    # So is a layer, which is described by what the language knows of its cell.
    "layers": {"layers", "language", "runtime", "loaded"},
    # And a bridge; what it needs of the compiler is the Program that it runs eagerly.
    "bridges": {"bridges", "layers", "language", "program", "runtime", "loaded", "__version__"},
}

# Each third-party library and the only places that may import it.
DOORS = {
    "yaml": {"language/yaml_nodes.py"},
    "jinja2": {"emit/source.py"},
    "click": {"cli"},
    "sympy": {"claims/residual.py"},
    "mpmath": {"claims/checker.py"},
    "scipy": {"verify"},
    "numba": {"runtime", "cli/doctor.py"},
    "llvmlite": {"runtime", "cli/doctor.py"},
    "cuda": {"runtime/cuda"},
    "numpy": {"runtime", "verify", "studies", "bridges", "layers", "loaded.py"},
    "torch": {
        "bridges/torch",
        "examples",
        "runtime/cuda/tensors.py",
        "studies/peers_torch.py",
        "studies/race_floor.py",
        "studies/race_peers.py",
        "studies/race.py",
        "studies/overhead.py",
    },
    "jax": {
        "bridges/jax.py",
        "bridges/jax_batching.py",
        "bridges/jax_kernels.py",
        "studies/peers_jax.py",
    },
    "onnx": {"bridges/onnx.py", "studies/peers_onnxruntime.py"},
    "onnxruntime": {"studies/peers_onnxruntime.py"},
    "keras": set(),
    "flax": set(),
    "equinox": set(),
}

BANNED_CALLS = {
    "eval", "exec", "sympify", "parse_expr", "lambdify", "simplify", "nsimplify", "equals",
    "safe_load", "full_load", "unsafe_load", "system", "popen",
}  # fmt: skip
# What SymPy is asked for where it may be imported; it displays and factors, and decides nothing.
FOR_DISPLAY = {"Symbol", "Integer", "Rational", "factor_list"}
ORACLES = {
    "simplify", "nsimplify", "trigsimp", "powsimp", "ratsimp", "radsimp", "equals", "is_zero",
    "solve", "solveset", "checksol", "ask", "refine",
}  # fmt: skip
SILENT = {"utils", "util", "helpers", "helper", "common", "base", "misc", "core", "manager"}


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}: relative import"
            yield node.module or ""


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_imports_run_one_way(path: Path) -> None:
    folder = relative(path).split("/")[0]
    if folder not in MAY_IMPORT:
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "gatewright" and len(parts) > 1:
            assert parts[1] in MAY_IMPORT[folder], f"{relative(path)} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_library_has_one_door(path: Path) -> None:
    for name in imports(path):
        doors = DOORS.get(name.split(".")[0])
        if doors is not None:
            inside = any(relative(path) == d or relative(path).startswith(f"{d}/") for d in doors)
            assert inside, f"{relative(path)} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_files_and_functions_stay_small_and_say_what_they_are(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 400
    assert path.stem not in SILENT
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 50, f"{node.name} has {length} lines"
    assert ast.get_docstring(tree), "no module docstring"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_text_is_never_executed(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.id if isinstance(function, ast.Name) else (
                function.attr if isinstance(function, ast.Attribute) else ""
            )  # fmt: skip
            allowed = name == "exec" and relative(path) == "runtime/load.py"
            allowed |= ast.unparse(function) == "platform.system"
            assert allowed or name not in BANNED_CALLS, f"{relative(path)} calls {name}"
            allowed = relative(path) == "python_syntax.py"
            assert allowed or ast.unparse(function) != "ast.parse", "parse with python_syntax"


def asked_of_sympy(tree: ast.Module) -> Iterator[str]:
    """Yield what a file uses that could decide whether two expressions are equal."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) if name in ORACLES:
                yield name
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] == "sympy":
                yield from (alias.name for alias in node.names)
            case ast.Import():
                yield from (f"{a.name} as {a.asname}" for a in node.names if _renamed(a))


def _renamed(alias: ast.alias) -> bool:
    return alias.name.split(".")[0] == "sympy" and (alias.asname or alias.name) != "sympy"


def asked_for_more_than_display(tree: ast.Module) -> Iterator[str]:
    """Yield whatever else is taken from the module, or is done with it as a whole."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "sympy":
            yield from [f"sympy.{node.attr}"] if node.attr not in FOR_DISPLAY else []
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "vars"):
            yield from (ast.unparse(node) for each in node.args if ast.unparse(each) == "sympy")


TESTS = sorted(Path(__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("path", [*FILES, *TESTS], ids=lambda path: path.name)
def test_sympy_is_no_oracle(path: Path) -> None:
    tree = ast.parse(path.read_text())
    found = list(asked_of_sympy(tree))
    if path in FILES:
        found += asked_for_more_than_display(tree)
    assert not found


@pytest.mark.parametrize(
    "code",
    [
        "import sympy\nsame = sympy.simplify(a - b) == 0",
        "import sympy\nsame = sympy.expand(a - b) == 0",
        "import sympy\nsame = all(map(sympy.simplify, found))",
        "import sympy\nsame = getattr(sympy, 'simplify')(a - b) == 0",
        "import sympy as algebra\nsame = algebra.Eq(a, b)",
        "from sympy import simplify as tidy",
        "from sympy.solvers import solve",
        "import sympy.solvers",
        "same = a.equals(b)",
        "same = (a - b).is_zero",
    ],
)
def test_an_oracle_is_seen(code: str) -> None:
    tree = ast.parse(code)
    assert [*asked_of_sympy(tree), *asked_for_more_than_display(tree)]


def test_verdicts_are_reached_without_sympy() -> None:
    """Every claim and one cell, where importing it fails: only the display of residuals does."""
    code = (
        "import sys; sys.modules['sympy'] = None\n"
        "from gatewright.claims.library import every_claim\n"
        "from gatewright.claims.prove import decide\n"
        "from gatewright.language import catalogue\n"
        "from gatewright.verify.whole import whole\n"
        "claims = every_claim()\n"
        "print(sum(decide(each, explain=False).as_expected for each in claims) - len(claims))\n"
        "print(whole(catalogue.load('elman')).word)\n"
        "decide(next(each for each in claims if each.name == 'formulas'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["0", "pass"]
    assert "import of sympy halted" in done.stderr


HEAVY = {
    *("sympy", "mpmath", "numba", "numpy", "scipy", "jinja2", "yaml"),
    *("torch", "jax", "onnx", "keras"),
}


@pytest.mark.parametrize(
    "code",
    [
        "import gatewright",
        "from gatewright.cli.app import run; run(['--help'])",
        "from gatewright.cli.app import run; run(['--version'])",
        "from gatewright.cli.app import run; run(['grad', '--help'])",
    ],
)
def test_starting_imports_nothing_heavy(code: str) -> None:
    probe = f"{code}\nimport sys; print('LOADED', *sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split("LOADED ")[1].split())
    assert not loaded & HEAVY
