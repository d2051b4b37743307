"""A source is read at its own pace, and what a client has not taken yet waits on disk."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.exceptions import FileError, TableError
from airflow_provider_sync.server import read_ahead as module
from airflow_provider_sync.server.read_ahead import read_ahead

SECONDS = 30
"""Seconds after which a test gives up waiting for another thread."""


@given(st.lists(st.binary(max_size=700)), st.integers(min_value=1, max_value=1000))
def test_every_byte_arrives_once(blocks: list[bytes], limit: int) -> None:
    """All bytes arrive in order, for any limit of waiting bytes."""
    closed: list[int] = []
    assert b"".join(read_ahead(iter(blocks), lambda: closed.append(1), limit=limit)) == b"".join(blocks)
    assert closed == [1]


def test_closed_while_the_client_has_read_nothing() -> None:
    """The source is released as soon as it was read, before the client has read everything."""
    closed = Event()
    blocks = read_ahead(iter([b"x"] * 1000), closed.set)
    assert next(blocks)
    assert closed.wait(SECONDS)
    assert len(b"".join(blocks)) < 1000


def test_waits_at_its_limit() -> None:
    """At most the limit and one block wait on disk; the source stays open then."""
    made: list[int] = []
    third = Event()

    def source() -> Iterator[bytes]:
        for number in range(100):
            made.append(number)
            if number == 2:
                third.set()
            yield bytes(10)

    closed: list[int] = []
    blocks = read_ahead(source(), lambda: closed.append(1), limit=15)
    first = next(blocks)
    assert third.wait(SECONDS)
    assert not closed
    assert len(made) <= 5
    assert len(first + b"".join(blocks)) == 1000
    assert closed == [1]


def test_errors_come_after_what_was_before() -> None:
    """An error of the source is raised after all bytes before it; the source is released."""

    def source() -> Iterator[bytes]:
        yield b"before"
        raise TableError("no more")

    closed: list[int] = []
    blocks = read_ahead(source(), lambda: closed.append(1))
    assert next(blocks) == b"before"
    with pytest.raises(TableError, match="no more"):
        next(blocks)
    assert closed == [1]


def test_a_client_that_goes_away_ends_it() -> None:
    """Closing ends the thread, also one that waits for room, and releases the source."""
    events: list[str] = []

    def source() -> Generator[bytes, None, None]:
        try:
            while True:
                yield b"x" * 10
        finally:
            events.append("closed")

    blocks = read_ahead(source(), lambda: events.append("released"), limit=20)
    assert next(blocks)
    blocks.close()
    assert events == ["closed", "released"]


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is an error that names the folder; the source is released."""

    def no_room(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "pwrite", no_room)
    closed: list[int] = []
    with pytest.raises(FileError, match="No space left on device"):
        next(read_ahead(iter([b"x"]), lambda: closed.append(1)))
    assert closed == [1]
