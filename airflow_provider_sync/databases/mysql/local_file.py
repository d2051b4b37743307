"""Name the file descriptor that a MySQL server may request, and write the error for any other request."""

from __future__ import annotations

from pathlib import Path

DESCRIPTORS = Path("/proc/self/fd")

REFUSED = 2000
"""The client library's error number for a file that it refuses to send."""

_MAX_NAME = 100


def file_name(descriptor: int) -> str:
    """Return the file name with which a server requests an open descriptor of this process."""
    return f"{DESCRIPTORS}/{descriptor}"


def refusal(name: str) -> str:
    """Return the error message for a refused file; ``name`` is what the server requested."""
    return f"Load data local infile forbidden for {name[:_MAX_NAME]!r}"
