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
    """A name that is spelt nearly alike is found, whatever the case of its letters; another one is not made up."""
    assert near_name(given, ["orders", "Customers"]) == meant


def test_the_question() -> None:
    """A question follows a sentence; where no name is like it, nothing does. What a server calls itself is no escape code."""
    assert did_you_mean("ordrs", ["orders"]) == " Did you mean 'orders'?"
    assert did_you_mean("ordrs", ["x"]) == ""
    assert did_you_mean("orders", ["orders\x1b["]) == " Did you mean 'orders\\x1b['?"


def test_names_without_end() -> None:
    """Names that nobody could have meant, being thousands of characters long, are passed over."""
    assert near_name("a" * 100_000, ["a" * 100_000, "b"]) is None
