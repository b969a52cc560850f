"""Sources and a folder -> Freshness: whether committed files are what the compiler writes now.

Why the same Sources as `write`: a check with a code path of its own can agree with a file that a
run of `generate` would change.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gatewright.emit.source import Source
from gatewright.emit.write import MANIFEST, manifest_text, read_manifest, sha256


@dataclass(frozen=True)
class Freshness:
    """Paths below a folder that are not as they should be; `edited` are stale by hand."""

    stale: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    edited: tuple[str, ...]
    unfinished: bool
    diff: str

    @property
    def fresh(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.stale or self.missing or self.extra or self.unfinished)

    def __str__(self) -> str:
        if self.fresh:
            return "generated files are fresh"
        lines = []
        for path in self.stale:
            why = "edited by hand" if path in self.edited else "the compiler now writes other text"
            lines.append(f"stale    {path}  ({why})")
        lines += [f"missing  {path}" for path in self.missing]
        lines += [f"extra    {path}" for path in self.extra]
        if self.unfinished:
            lines.append(f"{MANIFEST} does not match: a run of `generate` did not finish")
        return "\n".join([*lines, "run `gatewright generate` and commit what it writes"])


def check(sources: Sequence[Source], folder: Path, *, whole: bool = True) -> Freshness:
    """Compare the sources with what `folder` holds.

    With `whole`, they are all that it should hold, and other files are extra.
    """
    texts = {source.path: source.text for source in sources}
    listed = read_manifest(folder)
    present = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path != folder / MANIFEST
    }
    found = {path: _text(present[path]) for path in texts if path in present}
    stale = tuple(sorted(path for path, text in found.items() if text != texts[path]))
    kept = {} if whole else listed
    wanted = manifest_text(kept | {path: sha256(text) for path, text in texts.items()})
    manifest = folder / MANIFEST
    matches = manifest.is_file() and _text(manifest) == wanted
    missing = tuple(sorted(set(texts) - set(present)))
    extra = tuple(sorted(set(present) - set(texts))) if whole else ()
    return Freshness(
        stale=stale,
        missing=missing,
        extra=extra,
        edited=tuple(path for path in stale if sha256(found[path]) != listed.get(path)),
        unfinished=not matches and not (stale or missing or extra),
        diff="".join(_diff(path, found[path], texts[path]) for path in stale),
    )


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="replace")


def _diff(path: str, old: str, new: str) -> str:
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    return "".join(lines)
