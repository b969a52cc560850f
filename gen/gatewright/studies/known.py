"""Cell -> the catalogue's name for it: which cells a library's fixed layers can be compared with.

Why it is the catalogue's own question: the bridges ask it too.
"""

from __future__ import annotations

from gatewright.language.catalogue import known as known
