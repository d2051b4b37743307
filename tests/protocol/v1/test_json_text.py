"""Strings as PHP writes them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.protocol.v1.json_text import json_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a/b", r'"a\/b"'),
        ('"\\', r'"\"\\"'),
        ("\b\f\n\r\t", r'"\b\f\n\r\t"'),
        ("\0\x1f", r'"\u0000\u001f"'),
        ("\x7f\\u007f", '"\x7f\\\\u007f"'),
        ("é\u2028", r'"\u00e9\u2028"'),
        ("😀", r'"\ud83d\ude00"'),
    ],
)
def test_characters_are_escaped_as_php_escapes_them(value: str, text: str) -> None:
    """Each kind of character is escaped as by PHP's json_encode."""
    assert json_text(value) == text


@given(st.text())
def test_any_text_reads_back(value: str) -> None:
    """A JSON reader gets back any text."""
    assert json.loads(json_text(value)) == value


def test_half_a_surrogate_pair_is_refused() -> None:
    """Half a surrogate pair is not written."""
    with pytest.raises(UnicodeEncodeError):
        json_text("a\ud800")
