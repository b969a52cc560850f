"""Names or paths -> Claims: where claims come from, `specs/claims/` or a file of the user's.

A claim is named by its id, which is unique in the library, a family by the name of its file.

Why read per process and not cached on disk: a cache would be one more thing that can be stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from gatewright.claims.claim import Claim
from gatewright.claims.family import Family, read_family
from gatewright.claims.resolve import resolve_family
from gatewright.language.diagnostics import Diagnostic, SpecError, did_you_mean, quoted
from gatewright.language.shelf import is_path
from gatewright.resources import data_folder


def family_names() -> tuple[str, ...]:
    """Return the names of the library's files, sorted."""
    return tuple(sorted(path.stem for path in (data_folder("specs") / "claims").glob("*.yaml")))


@lru_cache(maxsize=64)
def family(name: str) -> tuple[Claim, ...]:
    """Return the claims of a file of the library. Raises SpecError."""
    return resolve_family(family_text(name))


def family_text(name: str) -> Family:
    """Return a file of the library as its author wrote it. Raises SpecError."""
    path = data_folder("specs") / "claims" / f"{name}.yaml"
    found = read_family(path, f"specs/claims/{name}.yaml")
    if found.name != name:
        message = f"the file `{name}.yaml` holds the family `{found.name}`"
        help = f"rename the file to `{found.name}.yaml` or the family to `{name}`"
        raise SpecError([Diagnostic("E0504", message, None, help)])
    return found


def every_claim() -> tuple[Claim, ...]:
    """Return the whole library. Raises SpecError, also if an id stands twice."""
    found = [claim for name in family_names() for claim in family(name)]
    seen: dict[str, Claim] = {}
    for claim in found:
        first = seen.setdefault(claim.name, claim)
        if first is not claim:
            message = f"claim `{claim.name}` stands in `{first.family}` and in `{claim.family}`"
            raise SpecError([Diagnostic("E0505", message, None, "rename one of them")])
    return tuple(found)


def claims_named(names: Sequence[str]) -> tuple[Claim, ...]:
    """Return claims by id, by family, or all of a file given by its path. Raises SpecError."""
    found: list[Claim] = []
    for name in names:
        if is_path(name):
            found += resolve_family(read_family(Path(name)))
        elif name in family_names():
            found += family(name)
        else:
            found.append(_by_id(name))
    return tuple({id(claim): claim for claim in found}.values())


def titles_of(names: Sequence[str]) -> dict[str, str]:
    """Return the titles of the library's families and of the files given. Raises SpecError."""
    own = [read_family(Path(name)) for name in names if is_path(name)]
    library = [family_text(name) for name in family_names()]
    return {found.name: found.title for found in (*library, *own)}


def _by_id(name: str) -> Claim:
    library = every_claim()
    for claim in library:
        if claim.name == name:
            return claim
    known = [*family_names(), *(claim.name for claim in library)]
    help = did_you_mean(name, known, "`gatewright prove --all` lists the claims")
    raise SpecError([Diagnostic("E0615", f"no claim {quoted(name)} in the library", None, help)])
