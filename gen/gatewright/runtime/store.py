"""Bytes by key, kept in a folder of the user's own from one process to the next.

The folder is $GATEWRIGHT_CACHE, or `gatewright` in $XDG_CACHE_HOME or in ~/.cache; it is made with
mode 0700 when something is first put into it, and GATEWRIGHT_CACHE=off does without. Each file says
what it holds by a digest over key and bytes. Files are written beside their place and moved there,
so that a reader sees all of a file or none; two writers of one key write the same bytes. A file
that is cut off, edited, somebody else's or another key's is removed and counts as missing. Beyond a
limit, the files that were not read for longest go.

Why nothing here raises an OSError: who asks can always compute the bytes anew, and a full disk or a
home that cannot be written is no reason to stop. `why_not` says what is wrong.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LIMIT = 512 << 20
VARIABLE = "GATEWRIGHT_CACHE"
OFF = ("off", "0", "no", "false")
_MAGIC = b"gatewright cache\x01"
_KEPT, _UNFINISHED = ".code", ".tmp"
# A writer that takes longer than this was killed.
_STALE_SECONDS = 3600.0


@dataclass(frozen=True)
class Store:
    """A folder of files by key, or none and why; keys are hexadecimal digits, `limit` is bytes."""

    folder: Path | None
    limit: int = LIMIT
    reason: str = "no folder"

    def why_not(self) -> str | None:
        """Return why the folder is not used, None if it is, or will be made when needed."""
        if self.folder is None:
            return self.reason
        try:
            return _distrust(self.folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"{self.folder}: {error.strerror}"

    def get(self, key: str) -> bytes | None:
        """Return what was put under a key, None if nothing was or if the file is not to be used."""
        if self.folder is None or self.why_not():
            return None
        path = self.folder / f"{key}{_KEPT}"
        try:
            content = _read(path)
        except OSError:
            return None
        payload = content[len(_MAGIC) + hashlib.sha256().digest_size :]
        if content != _sealed(key, payload):
            _remove(path)
            return None
        # The time of the last reading decides which files go first.
        with contextlib.suppress(OSError):
            os.utime(path)
        return payload

    def put(self, key: str, payload: bytes) -> bool:
        """Keep bytes under a key and return whether that was possible."""
        if self.folder is None:
            return False
        unfinished = self.folder / f"{key}.{os.getpid()}.{secrets.token_hex(8)}{_UNFINISHED}"
        try:
            _make(self.folder)
            if self.why_not():
                return False
            _write(unfinished, _sealed(key, payload))
            unfinished.replace(self.folder / f"{key}{_KEPT}")
        except OSError:
            return False
        finally:
            _remove(unfinished)
        self.trim()
        return True

    def trim(self) -> None:
        """Remove what killed writers left, and beyond the limit what was not read for longest."""
        now = time.time()
        kept = []
        for path, found in self._files():
            if path.suffix == _KEPT:
                kept.append((found.st_mtime, found.st_size, path))
            elif now - found.st_mtime > _STALE_SECONDS:
                _remove(path)
        total = sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept):
            if total <= self.limit:
                return
            _remove(path)
            total -= size

    def usage(self) -> tuple[int, int]:
        """Return how many files there are, and how many bytes they hold."""
        sizes = [found.st_size for path, found in self._files() if path.suffix == _KEPT]
        return len(sizes), sum(sizes)

    def clear(self) -> int:
        """Remove every file and return how many bytes they held."""
        total = 0
        for path, found in list(self._files()):
            _remove(path)
            total += found.st_size
        return total

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield the files that a store wrote, and nothing else that may be in the folder."""
        if self.folder is None or self.why_not():
            return
        try:
            paths = list(self.folder.iterdir())
        except OSError:
            return
        for path in paths:
            if path.suffix in (_KEPT, _UNFINISHED):
                with contextlib.suppress(OSError):
                    yield path, path.lstat()


def configured() -> Store:
    """Return the store that the environment asks for."""
    wanted = os.environ.get(VARIABLE, "")
    if wanted.lower() in OFF:
        return Store(None, reason=f"{VARIABLE} is {wanted}")
    try:
        if wanted:
            return Store(Path(wanted).expanduser().absolute())
        variable = "LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME"
        found = Path(os.environ.get(variable, ""))
        # The XDG specification has relative paths ignored.
        parent = found if found.is_absolute() else Path.home() / ".cache"
    except (OSError, RuntimeError):
        return Store(None, reason="there is no home folder")
    return Store(parent / "gatewright")


def _make(folder: Path) -> None:
    """Make a folder, and those it is in, for nobody but the user."""
    for each in (*reversed(folder.parents), folder):
        with contextlib.suppress(FileExistsError):
            each.mkdir(mode=0o700)


def _sealed(key: str, payload: bytes) -> bytes:
    return _MAGIC + hashlib.sha256(key.encode() + payload).digest() + payload


def _distrust(folder: Path) -> str | None:
    """Return why what is in a folder may be somebody else's. Raises OSError if it is not there."""
    if not stat.S_ISDIR(folder.stat().st_mode):
        return f"{folder} is not a folder"
    for found in (folder.lstat(), folder.stat()):
        if not _own(found):
            return f"{folder} belongs to another user"
        if not stat.S_ISLNK(found.st_mode) and _writable_by_others(found):
            return f"{folder} can be written by others: chmod 700 {folder}"
    return None


def _own(found: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or found.st_uid == os.geteuid()


def _writable_by_others(found: os.stat_result) -> bool:
    return os.name != "nt" and bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _read(path: Path) -> bytes:
    """Return a file's bytes, b"" if others can write it. Raises OSError, also for a link."""
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(number, "rb") as file:
        found = os.fstat(number)
        own = stat.S_ISREG(found.st_mode) and _own(found) and not _writable_by_others(found)
        return file.read() if own else b""


def _write(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(content)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
