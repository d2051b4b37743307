"""A source behind a real socket, a target, and a client between them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sync.link import Link, linked


@pytest.fixture
def link(pair_urls: tuple[str, str]) -> Iterator[Link]:
    """Give source and target on every pair of engines."""
    with linked(*pair_urls) as link:
        yield link


@pytest.fixture
def same(sqlite_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Link]:
    """Give source and target on SQLite, where the engine does not matter."""
    with linked(sqlite_url, f"sqlite:///{tmp_path_factory.mktemp('target') / 'target.db'}") as link:
        yield link


@pytest.fixture
def into(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Link]:
    """Give a source on SQLite and a target on each engine."""
    with linked(f"sqlite:///{tmp_path_factory.mktemp('source') / 'source.db'}", database_url) as link:
        yield link
