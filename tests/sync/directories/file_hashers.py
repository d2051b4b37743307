"""File hashers as users plug them in, and some that misbehave."""

from __future__ import annotations

import os
import signal
from itertools import count
from typing import BinaryIO, Self


class LengthHasher:
    """Takes the length for the digest; knows nothing of content in pieces."""

    name = "length"

    def hash(self, file: BinaryIO) -> str:
        """Return the number of bytes."""
        return str(len(file.read()))


class RestlessHasher:
    """Never gives a digest twice, as if the file were written to all the time."""

    name = "restless"
    _digests = count()

    def hash(self, file: BinaryIO) -> str:
        """Return another digest."""
        return f"digest {next(self._digests)}"


class DeadlyHasher:
    """Kills its process in the middle of a file's content."""

    name = "deadly"

    def hash(self, file: BinaryIO) -> str:
        """Return the same for every file."""
        return "x"

    def start(self) -> Self:
        """Return what is given the content of a download."""
        return self

    def update(self, data: bytes) -> None:
        """Die."""
        os.kill(os.getpid(), signal.SIGKILL)

    def hexdigest(self) -> str:
        """Return the same for every file."""
        return "x"


class NothingHasher:
    """Has no digest."""

    name = "nothing"

    def hash(self, file: BinaryIO) -> None:
        """Return none."""


class FailingHasher:
    """Has a fault."""

    name = "failing"

    def hash(self, file: BinaryIO) -> str:
        """Look for a place that is not there."""
        return {}["place"]  # type: ignore[no-any-return]
