"""A server that lies, refuses and fails as a test wants."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.files.objects.hostile_store import HostileStore, hostile_store


@pytest.fixture(scope="module")
def server() -> Iterator[HostileStore]:
    """Give one server for all tests of a file."""
    with hostile_store() as store:
        yield store
