"""Choose the version of the protocol by which a directory is synced."""

from __future__ import annotations

from typing import Literal

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetDirectory
from airflow_provider_sync.protocol.v2.file_messages import FILE_DIGEST

_HASHERS = (None, "md5", "none")


def protocol_for(client: SyncClient, directory: TargetDirectory) -> Literal[1, 2]:
    """Return the newest version that both sides speak for directories; only the first call for a client sends a request.

    A hasher of the user's own is one of version 1.

    :raises SyncError: when the version cannot be determined; see :meth:`.SyncClient.capabilities`
    """
    if directory.hasher not in _HASHERS:
        return 1
    return 2 if lists_files(client) else 1


def lists_files(client: SyncClient) -> bool:
    """Whether the server knows version 2 for directories.

    :raises SyncError: when the version cannot be determined; see :meth:`.SyncClient.capabilities`
    """
    capabilities = client.capabilities()
    return capabilities is not None and FILE_DIGEST in capabilities.file_digests
