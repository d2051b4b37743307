"""A local directory that is written to, and one beside it that must stay as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.local.writer import LocalTreeWriter


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    """The storage of ``root``."""
    return LocalStorage(root)


@pytest.fixture
def writer(storage: LocalStorage) -> Iterator[LocalTreeWriter]:
    """A writer of ``root`` for which nothing in the way may go."""
    with storage.writer(may_replace=lambda path: False) as writer:
        yield writer


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory beside the root that must stay as it is."""
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "x").write_bytes(b"precious")
    return directory
