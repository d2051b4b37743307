r"""Text as PHP's ``json_encode`` writes it: ASCII but for U+007F, ``/`` as ``\/``, ``\uXXXX`` in lower-case hex."""

from __future__ import annotations

from json.encoder import encode_basestring_ascii


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
    """Count the strings of a JSON document, keys included, without decoding it."""
    if b"\\" in document:
        # Remove escaped backslashes first, so that any backslash left before a quote escapes the quote.
        document = document.replace(b"\\\\", b"").replace(b'\\"', b"")
    return document.count(b'"') // 2
