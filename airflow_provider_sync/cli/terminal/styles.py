"""Decide whether output to a stream is styled, and define the colours."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:
    from rich.console import Console

Meaning = Literal["", "heading", "added", "changed", "removed", "warning", "failed", "next"]
"""What a line is about; determines its colour."""

STYLES: dict[str, str] = {
    "": "",
    "heading": "bold",
    "added": "green",
    "changed": "yellow",
    "removed": "red",
    "warning": "yellow",
    "failed": "bold red",
    "next": "cyan",
}

WORD_STYLES = {
    "ok": "green",
    "changed": "green",
    "planned": "cyan",
    "unchanged": "dim",
    "failed": "bold red",
    "FAILED": "bold red",
}
"""Colours of the words for a status."""


def is_styled(stream: TextIO) -> bool:
    """Whether a stream is a terminal that takes escape codes: not under ``NO_COLOR`` or ``TERM=dumb``."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in ("dumb", "unknown")


def styled_console(stream: TextIO) -> Console:
    """Return rich's console for a terminal, which interprets no markup in text."""
    # Imported here, because most runs write into a pipe or a log.
    from rich.console import Console

    return Console(file=stream, force_terminal=True, markup=False, highlight=False, emoji=False)
