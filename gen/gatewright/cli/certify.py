"""Command that writes and checks Coq certificates: certify."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gatewright.cli.output import coloured, made_folder, note, print_json, table

if TYPE_CHECKING:
    from gatewright.claims.claim import Claim

SECONDS = 120
STYLES = {"accepted": "green", "rejected": "red", "refuted": "red", "unsupported": "yellow"}
# The first two are what Coq's real numbers rest on; the others, that equal values make equal
# functions.
AXIOMS = frozenset(
    {
        "ClassicalDedekindReals.sig_forall_dec",
        "ClassicalDedekindReals.sig_not_dec",
        "functional_extensionality_dep",
        "FunctionalExtensionality.functional_extensionality_dep",
    }
)


@click.command()
@click.argument("claims", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Certify every proved claim.")
@click.option("--output", help="Keep the certificates in this folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def certify(claims: tuple[str, ...], everything: bool, output: str | None, as_json: bool) -> int:
    """Have Coq check certificates of proved CLAIMS.

    A certificate is a theorem about the runs of both cells, over every sequence, of every length.
    It is accepted if it assumes nothing but the axioms of Coq's real numbers and that functions
    with equal values are equal.

    Exit code 0: all are accepted; 1: one is rejected, or the claim is refuted; 3: Coq is not
    installed (Debian: `coq`); 4: neither, but a claim is unknown, or its proof uses what the
    certificates cannot say.
    """
    from gatewright.claims.library import claims_named, every_claim
    from gatewright.runtime.errors import BackendMissingError

    if everything == bool(claims):
        raise click.UsageError("name the claims to certify, or give --all")
    chosen = every_claim() if everything else claims_named(claims)
    if everything:
        chosen = tuple(claim for claim in chosen if claim.expect == "proved")
    names = [claim.name for claim in chosen]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise click.UsageError(f"two claims are called {twice[0]}: certify them apart")
    coqc = shutil.which("coqc")
    if coqc is None and output is None:
        raise BackendMissingError("`coqc` is not installed; --output FOLDER only writes the files")
    with tempfile.TemporaryDirectory() as scratch:
        rows = _rows(chosen, made_folder(output or scratch), coqc)
    words = [word for _, word, _ in rows]
    counts = {word: words.count(word) for word in dict.fromkeys(words)}
    if as_json:
        listed = [{"id": name, "verdict": word, "detail": why} for name, word, why in rows]
        print_json(certificates=listed, counts=counts)
    else:
        shown = [(name, coloured(word, STYLES.get(word)), why) for name, word, why in rows]
        click.echo(table(("claim", "certificate", ""), shown))
        click.echo("\n" + ", ".join(f"{count} {word}" for word, count in counts.items()))
    if {"rejected", "refuted"} & set(words):
        return 1
    return 4 if {"unsupported", "unknown"} & set(words) else 0


def _rows(claims: Sequence[Claim], folder: Path, coqc: str | None) -> list[tuple[str, str, str]]:
    """Return for each claim its name, what became of its certificate, in a word, and why."""
    from gatewright.runtime.processors import processors

    rows: list[tuple[str, str, str]] = []
    with ThreadPoolExecutor(processors()) as pool:
        found = [_certificate(claim, folder) for claim in claims]
        # Coq takes a second or more for each, and none of them waits for another.
        checks = [
            pool.submit(_checked, coqc, each) if coqc and isinstance(each, Path) else None
            for each in found
        ]
        try:
            for k, (claim, each, check) in enumerate(zip(claims, found, checks, strict=True), 1):
                note(f"{claim.name} ({k} of {len(claims)})")
                unchecked = ("written", "") if isinstance(each, Path) else each
                rows.append((claim.name, *(check.result() if check else unchecked)))
        finally:
            pool.shutdown(cancel_futures=True)
    return rows


def _certificate(claim: Claim, folder: Path) -> Path | tuple[str, str]:
    """Return the file of a claim's certificate, or in a word and a sentence why there is none."""
    from gatewright.claims.coq import UnsupportedError, certificate
    from gatewright.claims.prove import decide
    from gatewright.emit.write import write_one

    verdict = decide(claim, explain=False)
    if verdict.word != "proved":
        return verdict.word, f"no proof to certify: see `gatewright prove {claim.name}`"
    try:
        text = certificate(claim)
    except UnsupportedError as problem:
        return "unsupported", str(problem)
    path = folder / f"{claim.name}.v"
    write_one(path, text)
    return path


def _checked(coqc: str, path: Path) -> tuple[str, str]:
    command = [coqc, "-q", path.name]
    try:
        done = subprocess.run(
            command, cwd=path.parent, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "rejected", f"coqc took longer than {SECONDS} s"
    if done.returncode != 0:
        return "rejected", " ".join((done.stderr or done.stdout).split())[:120]
    # What `Print Assumptions` prints at the end of every certificate; types are indented.
    assumed = set(re.findall(r"^([\w.]+)(?: :|$)", done.stdout, re.MULTILINE)) - AXIOMS
    if assumed:
        return "rejected", f"it assumes {', '.join(sorted(assumed))}"
    return "accepted", ""
