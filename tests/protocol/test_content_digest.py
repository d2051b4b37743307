"""The digest of a request's body."""

from __future__ import annotations

import pytest

from airflow_provider_sync.protocol.content_digest import content_digest, is_intact

# RFC 9530, appendix B.1
BODY = b'{"hello": "world"}\n'
DIGEST = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"


def test_the_digest_of_the_standard() -> None:
    """The value is that of the standard's example."""
    assert content_digest(BODY) == DIGEST


@pytest.mark.parametrize("header", [None, "", DIGEST, f"sha-512=:x:, {DIGEST}", f"{DIGEST},md5=:x:", "sha-512=:x:"])
def test_what_is_intact(header: str | None) -> None:
    """A body is accepted with its digest, without one, and with digests by other algorithms."""
    assert is_intact(header, BODY)


@pytest.mark.parametrize("header", [DIGEST, DIGEST.replace("R", "S"), "sha-256=", f"md5=:x:, {DIGEST}"])
def test_what_is_damaged(header: str) -> None:
    """A body with a flipped bit, and a digest with one, are refused."""
    assert not is_intact(header, b'{"hello": "worle"}\n')
