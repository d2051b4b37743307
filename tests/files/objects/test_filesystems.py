"""Which file system serves a URL."""

from __future__ import annotations

import pytest

from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.files.objects.filesystems import filesystem_for


@pytest.mark.parametrize("scheme", ["reference", "dir", "generic"])
def test_a_store_that_needs_more_than_a_url(scheme: str) -> None:
    """A store of fsspec that cannot be opened by its URL alone is a mistake in the configuration."""
    with pytest.raises(ConfigurationError, match=f"{scheme}:// needs settings that a URL cannot give"):
        filesystem_for(f"{scheme}://x")
