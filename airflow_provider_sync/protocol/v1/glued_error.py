"""Find the error that an existing server appends to a body that it had already begun to send with status 200."""

from __future__ import annotations

import re
from collections.abc import Iterable
from json import JSONDecodeError, loads

TAIL_BYTES = 4096
"""Number of bytes at the end of a body that are searched for an error."""

# With debugging on, the server adds the exception and its traceback, which may not fit into the tail.
_ERROR = re.compile(rb'\{\s*"message":\s*("(?:[^"\\]|\\.){0,1000}")(?:\s*\}\s*\Z|,\s*"exception")')


def glued_error(tail: bytes, more: Iterable[bytes] = ()) -> str | None:
    """Return the message of an error at the end of a body, or ``None``.

    :param tail: the last bytes that were read
    :param more: the chunks that follow, of which at most about :data:`TAIL_BYTES` are read

    ::

        …the body{
            "message": "Server Error"
        }
    """
    limit = len(tail) + TAIL_BYTES
    for chunk in more:
        tail += chunk
        if len(tail) >= limit:
            break
    match = _ERROR.search(tail)
    if match is None:
        return None
    try:
        return str(loads(match[1]))
    except (JSONDecodeError, UnicodeDecodeError):
        return None


def failed_in_midstream(message: str) -> str:
    """Return the message of the error for a server that failed while it sent a body."""
    return f"The server failed while it sent the body: {message!r}. Nothing of it was used. Look into its log, then try again."
