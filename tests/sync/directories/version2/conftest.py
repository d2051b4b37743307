"""Two folders whose files are never racy."""

from __future__ import annotations

import pytest

from airflow_provider_sync.files.local import entries as local_entries
from tests.sync.directories.mirror import Mirror


@pytest.fixture
def folders(folders_of_version2: Mirror, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    """Give two folders on a disk with a clock so fine that no file is racy."""
    monkeypatch.setattr(local_entries, "_FINE_NS", 0)
    return folders_of_version2
