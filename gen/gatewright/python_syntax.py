"""The text of a Python file -> its syntax tree, from any thread.

Why not `ast.parse` itself: CPython 3.11 counts the depth of the tree it builds in one counter for
the whole process, and a collection of garbage in the middle may let another thread count on the
same one; the slower of the two parses then ends in a SystemError about a recursion depth
(python/cpython issue 106905). Kernels are compiled from several threads, so parses take turns,
and one that met a foreign parse is done again.
"""

from __future__ import annotations

import ast
import threading

_TURN = threading.Lock()
_ATTEMPTS = 100


def parsed(text: str | bytes) -> ast.Module:
    """Return the syntax tree of a Python file.

    Raises SyntaxError or ValueError (a null byte) as `ast.parse` does.
    """
    for _ in range(_ATTEMPTS - 1):
        with _TURN:
            try:
                return ast.parse(text)
            except SystemError:  # the library of another thread is parsing as well
                pass
    return ast.parse(text)
