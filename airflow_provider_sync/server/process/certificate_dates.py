"""Read the expiry date of a certificate, which the standard library returns only for certificates that it has verified.

A certificate is nested DER: tag, length, content (ITU-T X.690). The fields on the way to the date (RFC 5280, 4.1)::

    Certificate ( TBSCertificate ( [version], serial number, signature, issuer, validity ( not before, not after ), …
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

_VERSION, _UTC_TIME = 0xA0, 0x17


def end_of(pem: str) -> datetime:
    """Return the expiry date of the first certificate in a PEM text.

    :raises ValueError: if there is none, or it is malformed
    """
    start = pem.find(ssl.PEM_HEADER)
    end = pem.find(ssl.PEM_FOOTER, start)
    if start < 0 or end < 0:
        raise ValueError("There is no certificate.")
    certificate = ssl.PEM_cert_to_DER_cert(pem[start : end + len(ssl.PEM_FOOTER)])
    try:
        _, whole = next(_values(certificate))
        _, signed = next(_values(whole))
        fields = [content for tag, content in _values(signed) if tag != _VERSION]
        _, (tag, not_after) = _values(fields[3])
        return _time(tag, not_after.decode("ascii"))
    except (IndexError, StopIteration) as error:
        raise ValueError("The certificate is malformed.") from error


def _values(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of consecutive values."""
    position = 0
    while position < len(content):
        tag, length = content[position], content[position + 1]
        position += 2
        if length & 0x80:  # the length of the length
            size = length & 0x7F
            length = int.from_bytes(content[position : position + size], "big")
            position += size
        yield tag, content[position : position + length]
        position += length


def _time(tag: int, text: str) -> datetime:
    if tag == _UTC_TIME:
        # Two digits of the year: 50 and above are of the last century.
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
