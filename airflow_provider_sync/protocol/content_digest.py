"""The ``Content-Digest`` header of requests (RFC 9530): a body that was damaged on its way is not taken for another question.

Answers of version 2 carry their own digest, and those of version 1 are compared with hashes; a request has nothing else that
would show a changed key range or name.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

HEADER = "Content-Digest"


def content_digest(body: bytes) -> str:
    """Return the header's value for a body."""
    return f"sha-256=:{b64encode(sha256(body).digest()).decode()}:"


def is_intact(header: str | None, body: bytes) -> bool:
    """Whether a body is what its sender digested; unknown without the header or with other algorithms, and then true.

    :param header: value of :data:`HEADER`, a list of digests by different algorithms
    """
    digests = [digest.strip() for digest in (header or "").split(",")]
    return all(digest == content_digest(body) for digest in digests if digest.startswith("sha-256="))
