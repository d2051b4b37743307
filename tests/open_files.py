"""What this process has open, for tests that nothing of what they did stays open."""

from __future__ import annotations

import os
from contextlib import suppress


def open_files() -> set[tuple[int, str]]:
    """Descriptors of this process, each with what it is open on.

    Compare with ``after <= before`` rather than for equality: what an earlier test left to the garbage collector may be closed at
    any moment.
    """
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208  # the directory holds what opening it makes
        with suppress(FileNotFoundError):
            found.add((int(descriptor), os.readlink(f"/proc/self/fd/{descriptor}")))  # noqa: PTH115  # no path, maybe
    return found
