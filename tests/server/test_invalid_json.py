"""Which value of a JSON document has the wrong type."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest

from airflow_provider_sync.server.invalid_json import find_invalid


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
        ("[]", "", "Expected `object`"),
        ("{}", "", "`inner`"),
        ('{"inner":7}', "inner", "Expected `object`"),
        ('{"inner":{}}', "inner", "`name`"),
        ('{"inner":{"name":"n","x":1}}', "inner", "unknown field `x`"),
        ('{"inner":{"name":7}}', "inner.name", "Expected `str`"),
        ('{"inner":{"name":"n","kind":"c"}}', "inner.kind", "'c'"),
        ('{"inner":{"name":"n","pairs":[[1,2],[3]]}}', "inner.pairs[1]", "length 2"),
        ('{"inner":{"name":"n","pairs":[[1,2],[3,"4"]]}}', "inner.pairs[1][1]", "Expected `int`"),
        ('{"inner":{"name":"n"},"several":[{"name":"n"},{"name":null}]}', "several[1].name", "Expected `str`"),
        ('{"inner":{"name":"n"},"maybe":{"name":1}}', "maybe.name", "Expected `str`"),
        ('{"inner":{"name":"n"},"maybe":3}', "maybe", "Expected `object | null`"),
        ('{"inner":{"name":"n"},"size":10}', "size", "<= 9"),
        ('{"inner":{"name":"n"},"texts":{"a":1}}', "texts", "Expected `str`"),
    ],
)
def test_the_place_and_the_reason(document: str, place: str, words: str) -> None:
    """The innermost value that is wrong is named by its place, with the reason of msgspec."""
    found = find_invalid(document.encode(), Outer)
    assert found is not None
    assert found.place == place
    assert words in str(found.error)


@pytest.mark.parametrize(
    "document",
    [
        b'{"inner":{"name":"n"}}',
        b"",
        b"{",
        b'{"inner":{"name":"\xff"}}',
        b'{"inner":{"name":"\\ud800"}}',
        b'{"x":' + b"[" * 10_000,
    ],
)
def test_nothing_is_of_the_wrong_type(document: bytes) -> None:
    """A document that is right has no such value, nor has one that is malformed."""
    assert find_invalid(document, Outer) is None


@pytest.mark.parametrize("document", [b'{"inner":{"kind":7,"name":"\xff"}}', b'{"inner":{"kind":7,"name":"\\ud800"}}'])
def test_a_value_beside_malformed_text(document: bytes) -> None:
    """A wrong value is found beside text that cannot be decoded, if not always its place."""
    found = find_invalid(document, Outer)
    assert found is not None
    assert found.place in ("", "inner.kind")
