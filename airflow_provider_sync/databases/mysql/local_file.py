"""The file name by which a MySQL server requests a descriptor, and the error for any other request."""

from __future__ import annotations

from pathlib import Path

DESCRIPTORS = Path("/proc/self/fd")

REFUSED = 2000
"""Error number of the client library for a file that it does not send."""

_MAX_NAME = 100


def file_name(descriptor: int) -> str:
    """Return the name by which a server asks for an open file of this process."""
    return f"{DESCRIPTORS}/{descriptor}"


def refusal(name: str) -> str:
    """Return the text of the error for a request that is refused; the name is the server's."""
    return f"Load data local infile forbidden for {name[:_MAX_NAME]!r}"
