"""Standard input, output and error as every command relies on them: there, though perhaps nobody reads what is written."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def open_standard_streams() -> None:
    """Open those that whoever started the process has closed, onto nothing.

    Otherwise the first files and sockets of the process get their numbers, and messages are written into them.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, which is this one.
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def give_up(stream: TextIO) -> None:
    """Discard what a stream that cannot be written still holds, since Python would try again at its exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
