"""Normal forms of Unicode in file names.

The kernel compares names byte by byte, but a name may be stored composed (NFC: `é` is one character) or decomposed
(NFD: `e` and a combining accent, as macOS writes it). A model can't tell the two apart, so either form finds the file.
"""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def composed(text: str) -> str:
    """The text in NFC."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def stored_form(path: bytes, exists: Callable[[bytes], bool]) -> bytes:
    """The path with each component in the form, as given, NFC or NFD, in which it exists.

    From the first component that exists in none of them, the path stays as given.
    """
    if path.isascii():
        return path
    resolved = b""
    parts = path.split(b"/")
    for position, part in enumerate(parts):
        found = next((form for form in _forms(part) if part.isascii() or exists(resolved + form)), None)
        if found is None:
            return resolved + b"/".join(parts[position:])
        resolved += found + b"/"
    return resolved[:-1]


def _forms(name: bytes) -> dict[bytes, None]:
    text = os.fsdecode(name)
    return dict.fromkeys([name, *(os.fsencode(unicodedata.normalize(form, text)) for form in ("NFC", "NFD"))])
