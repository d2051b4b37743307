r"""Text as PHP's ``json_encode`` writes it: ASCII but for U+007F, ``/`` as ``\/``, ``\uXXXX`` in lower-case hex."""

from __future__ import annotations

from json.encoder import encode_basestring_ascii

_BLOCK_BYTES = 1024 * 1024


def json_text(value: str) -> str:
    """Write a string, with its quotes.

    :raises UnicodeEncodeError: for half of a surrogate pair, which is not text
    """
    return escape_slashes(quote(value))


def quote(value: str) -> str:
    """Write a string with its quotes, but leave ``/`` unescaped, for callers who escape the slashes of a whole document at once.

    :raises UnicodeEncodeError: for half of a surrogate pair, which is not text
    """
    if not value.isascii():
        value.encode()
    if "\x7f" not in value:
        return encode_basestring_ascii(value)
    # Python escapes U+007F and PHP does not.
    return '"' + "\x7f".join(encode_basestring_ascii(part)[1:-1] for part in value.split("\x7f")) + '"'


def escape_slashes(document: str) -> str:
    r"""Write every ``/`` of a JSON document as ``\/``; outside strings there is none."""
    return document.replace("/", "\\/")


def count_strings(document: bytes | bytearray) -> int:
    """Count the strings of a JSON document, keys included, without decoding or copying the whole of it."""
    if b"\\" not in document:
        return document.count(b'"') // 2
    quotes = start = 0
    while start < len(document):
        block = document[start : start + _BLOCK_BYTES]
        # An escaped character stays with its backslash.
        if (len(block) - len(block.rstrip(b"\\"))) % 2:
            block += document[start + len(block) : start + len(block) + 1]
        # Remove escaped backslashes first, so that any backslash left before a quote escapes the quote.
        quotes += block.replace(b"\\\\", b"").replace(b'\\"', b"").count(b'"')
        start += max(len(block), 1)
    return quotes // 2
