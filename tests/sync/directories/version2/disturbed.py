"""A client beside which something happens between listing and download."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.client.file_streams import ContentAnswer
from airflow_provider_sync.config import SizeLimits
from airflow_provider_sync.protocol.v2.file_messages import ReadFiles
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.sync import sync_directory
from tests.sync.directories.mirror import Mirror, target_directory


class Disturbed(SyncClient):
    """A client that lets something happen before each request for content."""

    action: Callable[[], object]

    def read_files(self, request: ReadFiles, *, repeat: bool = True) -> ContentAnswer:
        """Act, then ask."""
        self.action()
        return super().read_files(request, repeat=repeat)


def sync_disturbed(mirror: Mirror, action: Callable[[], object], *, limits: SizeLimits | None = None) -> DirectoryReport:
    """Sync while something happens between listing and download."""
    with mirror.client() as client, Disturbed(client.url, retries=0, limits=limits) as disturbed, mirror.opened_cache() as cache:
        disturbed.action = action
        return sync_directory(disturbed, target_directory(), mirror.target, cache=cache)
