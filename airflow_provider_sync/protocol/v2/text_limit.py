"""Limit the text of a received message before it is decoded.

Rows, keys and content of files are byte strings, which take as much memory as they have bytes. Text takes up to four times as
much, and an error that quotes it several times that. So a message may be large only if its byte strings are.
"""

from __future__ import annotations

from airflow_provider_sync.exceptions import ProtocolError

MAX_TEXT_BYTES = 16 * 1024 * 1024
"""Maximum bytes of a message outside of its byte strings: more than the description of any real table needs."""

_MAX_FIELDS = 15
"""Fields of a message that are looked at; the fields of real messages are fewer."""

# The first byte of a value in msgpack, and how many bytes of its length or of the value itself follow.
_BYTE_STRINGS = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_STRINGS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}


def check_text(message: memoryview, position: int) -> None:
    """Check how many bytes of a message are not byte strings.

    :param message: in msgpack
    :param position: its number in the stream, for the error
    :raises ProtocolError: when they are more than :data:`MAX_TEXT_BYTES`
    """
    if len(message) <= MAX_TEXT_BYTES:
        return
    size = len(message) - _byte_strings(message)
    if size > MAX_TEXT_BYTES:
        raise ProtocolError(
            f"Message {position} has {size} bytes of text, and {MAX_TEXT_BYTES} are allowed. Is the server's version right?"
        )


def _byte_strings(message: memoryview) -> int:
    """Return the bytes of the byte strings that are fields of a message, up to the first field that is a list or a map."""
    found, at = 0, 1
    for _ in range(2 * _MAX_FIELDS):
        if at >= len(message):
            break
        kind = message[at]
        at += 1
        if kind in _BYTE_STRINGS or kind in _STRINGS:
            width = _BYTE_STRINGS.get(kind) or _STRINGS[kind]
            size = int.from_bytes(message[at : at + width], "big")
            at += width + size
            # A length beyond the end is an error of the decoder; the bytes that are there count as text.
            found += size if kind in _BYTE_STRINGS and at <= len(message) else 0
        elif kind in _FIXED:
            at += _FIXED[kind]
        elif 0xA0 <= kind <= 0xBF:
            at += kind - 0xA0
        elif 0x80 <= kind <= 0x9F or 0xC1 <= kind < 0xE0:
            break
    return found
