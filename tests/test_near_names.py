"""The name that was meant by one that does not exist."""

from __future__ import annotations

import pytest

from airflow_provider_sync.near_names import did_you_mean, near_name


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("ordrs", "orders"),
        ("ORDERS", "orders"),
        ("custmer", "Customers"),
        ("customers", "Customers"),
        ("prices", None),
        ("", None),
    ],
)
def test_the_nearest_name(given: str, meant: str | None) -> None:
    """A similar name is found in any case; an unlike one is not."""
    assert near_name(given, ["orders", "Customers"]) == meant


def test_the_question() -> None:
    """A question follows a sentence if a name is similar; a server's names cannot contain escape codes."""
    assert did_you_mean("ordrs", ["orders"]) == " Did you mean 'orders'?"
    assert did_you_mean("ordrs", ["x"]) == ""
    assert did_you_mean("orders", ["orders\x1b["]) == " Did you mean 'orders\\x1b['?"


def test_names_without_end() -> None:
    """Names of thousands of characters are ignored."""
    assert near_name("a" * 100_000, ["a" * 100_000, "b"]) is None
