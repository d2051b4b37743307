"""Which field of a request's body is wrong."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest

from airflow_provider_sync.protocol.v1.requests import InvalidRequest
from airflow_provider_sync.server.json_requests import decode_json


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    """A field of a field."""

    name: str
    pairs: tuple[tuple[int, int], ...] = ()
    kind: Literal["a", "b"] = "a"


class Outer(msgspec.Struct):
    """A document."""

    inner: Inner
    several: tuple[Inner, ...] = ()
    maybe: Inner | None = None
    size: Annotated[int, msgspec.Meta(le=9)] = 0
    texts: dict[str, str] = {}


@pytest.mark.parametrize(
    ("document", "place", "words"),
    [
        (b"[]", "body", "Expected `object`"),
        (b"{}", "body", "`inner`"),
        (b'{"inner":7}', "inner", "Expected `object`"),
        (b'{"inner":{}}', "inner", "`name`"),
        (b'{"inner":{"name":"n","x":1}}', "inner", "unknown field `x`"),
        (b'{"inner":{"name":7}}', "inner.name", "Expected `str`"),
        (b'{"inner":{"name":"n","kind":"c"}}', "inner.kind", "'c'"),
        (b'{"inner":{"name":"n","kind":" - at `$.x`"}}', "inner.kind", "' - at `$.x`'"),
        (b'{"inner":{"name":"n","pairs":[[1,2],[3]]}}', "inner.pairs[1]", "length 2"),
        (b'{"inner":{"name":"n","pairs":[[1,2],[3,"4"]]}}', "inner.pairs[1][1]", "Expected `int`"),
        (b'{"inner":{"name":"n"},"several":[{"name":"n"},{"name":null}]}', "several[1].name", "Expected `str`"),
        (b'{"inner":{"name":"n"},"maybe":{"name":1}}', "maybe.name", "Expected `str`"),
        (b'{"inner":{"name":"n"},"maybe":3}', "maybe", "Expected `object | null`"),
        (b'{"inner":{"name":"n"},"size":10}', "size", "<= 9"),
        (b'{"inner":{"name":"n"},"texts":{"a":1}}', "texts[...]", "Expected `str`"),
        (b"", "body", "truncated"),
        (b'{"inner":{"name":"\xff"}}', "body", ""),
        (b'{"x":' + b"[" * 10_000, "body", ""),
    ],
)
def test_the_place_and_the_reason(document: bytes, place: str, words: str) -> None:
    """A wrong body is refused with the place of the wrong value, and the reason from msgspec."""
    with pytest.raises(InvalidRequest) as refused:
        decode_json(document, Outer)
    ((field, (message,)),) = refused.value.errors.items()
    assert field == place
    assert words in message


def test_a_long_value_is_cut() -> None:
    """The place follows a value of any length, of which the message has only the beginning."""
    with pytest.raises(InvalidRequest) as refused:
        decode_json(b'{"inner":{"name":"n","kind":"%s"}}' % (b"c" * 100_000), Outer)
    ((field, (message,)),) = refused.value.errors.items()
    assert field == "inner.kind"
    assert len(message) < 1_000
