"""A directory of the source with its target directory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetDirectory
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.files import Storage
from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.protocol.v2.file_messages import FILE_DIGEST
from airflow_provider_sync.sync.progress import Progress, silent

_HASHERS = (None, "md5", "none")


@dataclass(frozen=True, slots=True)
class DirectoryPair:
    """The two sides of one directory sync, for both protocol versions.

    :ivar client: the client that asks the source
    :ivar directory: the directory's name and options
    :ivar storage: the target
    :ivar progress: called with the number of files and bytes that arrived
    :ivar cache: remembers digests of the target's files, and the states of both sides
    """

    client: SyncClient
    directory: TargetDirectory
    storage: Storage
    progress: Progress
    cache: DigestCache

    @classmethod
    def of(
        cls,
        client: SyncClient,
        directory: TargetDirectory,
        storage: Storage,
        *,
        progress: Progress | None = None,
        cache: DigestCache | None = None,
    ) -> Self:
        """Return a pair; by default it reports no progress and remembers nothing."""
        return cls(client, directory, storage, progress or silent, cache or DigestCache(None))

    def version(self) -> Literal[1, 2]:
        """Return the newest protocol version that both sides support for directories; only the first call sends a request.

        A custom hasher requires version 1.

        :raises SyncError: if the version cannot be determined; see :meth:`.SyncClient.capabilities`
        :raises ConfigurationError: if it is 1, and an option protects files in a way that only version 2 supports
        """
        return version_for(self.directory, lambda: lists_files(self.client))


def version_for(directory: TargetDirectory, lists_files: Callable[[], bool]) -> Literal[1, 2]:
    """Return the protocol version by which a directory is synced.

    :param lists_files: tells whether the server supports version 2 for directories; called only if that matters
    :raises ConfigurationError: if it is 1, and an option protects files in a way that only version 2 supports
    """
    has_own_hasher = directory.hasher not in _HASHERS
    if not has_own_hasher and lists_files():
        return 2
    reason = "a hasher of your own is one of version 1" if has_own_hasher else "version 1 is spoken with this server"
    for option, given in (("backup", directory.backup), ("atomic", directory.atomic)):
        if given:
            raise ConfigurationError(
                f"Directory {directory.name!r}: {option} needs version 2 of the protocol, and {reason}. Leave {option} out, if"
                " files may be replaced and deleted without it."
            )
    return 1


def lists_files(client: SyncClient) -> bool:
    """Tell whether the server supports version 2 for directories.

    :raises SyncError: if the version cannot be determined; see :meth:`.SyncClient.capabilities`
    """
    capabilities = client.capabilities()
    return capabilities is not None and FILE_DIGEST in capabilities.file_digests
