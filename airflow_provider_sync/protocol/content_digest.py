"""The ``Content-Digest`` header of requests (RFC 9530), by which the server detects a body that was damaged on its way.

Answers of version 2 carry their own digest, and answers of version 1 are compared with hashes; in a request, nothing else would
reveal a changed key range or name.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

HEADER = "Content-Digest"


def content_digest(body: bytes) -> str:
    """Return the value of the header for a body."""
    return f"sha-256=:{b64encode(sha256(body).digest()).decode()}:"


def is_intact(header: str | None, body: bytes) -> bool:
    """Whether a body has the digest that the header states; true if there is no header or it has only unknown algorithms.

    :param header: value of :data:`HEADER`, a list of digests by different algorithms
    """
    digests = [digest.strip() for digest in (header or "").split(",")]
    return all(digest == content_digest(body) for digest in digests if digest.startswith("sha-256="))
