"""Every number of a configuration has bounds, and a number beyond them is a mistake that is found before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, nan
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from airflow_provider_sync.config import ClientConfig, ServerConfig
from airflow_provider_sync.config.mistakes import WrongOptions
from airflow_provider_sync.config.options import plain_value

BASES: dict[Any, dict[str, Any]] = {
    ClientConfig: {"url": "http://x", "connections": {"a": "sqlite://"}},
    ServerConfig: {"connections": {"a": "sqlite://"}},
}
ENTRIES = {
    ("connections",): "a",
    ("tables",): "t",
    ("directories",): "d",
}


def numbers(model: type[BaseModel], place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the places of all options that are numbers, also of entries and groups."""
    for name, field in model.model_fields.items():
        kinds = list(members(field.annotation))
        if {int, float}.intersection(kinds):
            yield (*place, name)
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from numbers(kind, (*place, name))


def members(kind: Any) -> Iterator[Any]:
    """Yield a type and everything that it is made of."""
    yield kind
    for inner in get_args(kind):
        yield from members(inner)


def settings(base: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return a configuration with one value."""
    path = [step for position, step in enumerate(place) for step in named(place[: position + 1])]
    for step in reversed(path):
        value = {step: value}
    found: dict[str, Any] = {**base, **value}
    for entry in found.get("directories", {}).values():
        entry.setdefault("path", "/x")
    return found


def named(place: tuple[str, ...]) -> tuple[str, ...]:
    """Return the steps to a place: of entries, with a name."""
    return (place[-1], ENTRIES[place]) if place in ENTRIES else place[-1:]


PLACES = [(model, place) for model in BASES for place in numbers(model) if place != ("tokens",)]


def test_numbers_are_found() -> None:
    """The list of the other tests has options of each kind."""
    found = {place for _, place in PLACES}
    assert {("timeout",), ("limits", "max_rows"), ("directories", "downloads"), ("tables", "max_seconds")} <= found
    assert len(found) > 30


@pytest.mark.parametrize(("model", "place"), PLACES, ids=lambda value: ".".join(value) if isinstance(value, tuple) else None)
@pytest.mark.parametrize("value", [1e20, 10**20, "1e400", "9" * 5000, -1, nan, inf, -inf], ids=lambda value: str(value)[:9])
def test_numbers_beyond_the_bounds(model: Any, place: tuple[str, ...], value: Any) -> None:
    """A huge, negative or infinite number, and one that is none, is a mistake that names its option."""
    with pytest.raises(WrongOptions) as raised:
        model.from_dict(settings(BASES[model], place, value))
    (mistake,) = raised.value.mistakes
    assert place[-1] in mistake.message
    assert len(mistake.message) < 300
    assert "cannot be used" not in mistake.message


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("timeout", 1e20, "timeout is 1e+20. Give 2000000 or less."),
        ("timeout", "1e20", "timeout is 1e20. Give 2000000 or less."),
        ("max_seconds", 1e20, "max_seconds is 1e+20. Give 1000000000 or less."),
        ("retries", 10**6, "retries is 1000000. Give 1000 or less."),
        ("history_days", 40_000, "history_days is 40000. Give 36500 or less."),
        ("files_per_request", 999, "files_per_request is 999. Give 998 or less."),
    ],
)
def test_messages(option: str, value: Any, message: str) -> None:
    """The message has the number, and the largest that is allowed."""
    with pytest.raises(WrongOptions) as raised:
        ClientConfig.from_dict({"url": "http://x", option: value})
    assert str(raised.value) == message


@pytest.mark.parametrize("value", [nan, inf, "nan", "-inf"])
def test_plain_numbers(value: Any) -> None:
    """A number that an argument gives is finite."""
    with pytest.raises(WrongOptions):
        plain_value(value, float)
