"""The sensor that asks whether a directory of the source differs from its target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_sync.airflow_support.opener import OPENER
from airflow_provider_sync.airflow_support.rendered_arguments import read_directories
from airflow_provider_sync.airflow_support.settings import cache_setting
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetDirectory, cache_path
from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.sensors.difference import DifferenceSensor, only_one
from airflow_provider_sync.sync import WatchedDirectory, directory_differs


class FilesChangedSensor(DifferenceSensor):
    """Succeed when a directory of the source differs from its target; no file is downloaded.

    While nothing changed on either side since the last sync, that is one request, and no file is read. Otherwise the sizes,
    times and digests of both sides are compared. A source of version 1 without digests (hasher ``none``) counts as changed as
    soon as it has files.

    :param directory: the name that the server offers, or a mapping of it to options, as ``FileSyncOperator`` takes them
    :param path: where the files are kept: a local path, a URL such as ``s3://conn_id@bucket/prefix``, or an
        ``ObjectStoragePath``
    :param sync_conn_id: connection of the server
    :param when_unchanged: ``skip`` the task, and so what follows it, or ``wait`` until they differ
    :param deferrable: wait in the triggerer, which watches only the source: a target that somebody else changes is noticed at the
        source's next change. Airflow's ``[operators] default_deferrable`` decides where it is not given
    :param max_seconds: seconds that one comparison may take; without it, what the connection says, and half an hour in the
        triggerer
    :param prefix: a folder of the source: only its files are compared, and ``path`` stands for it
    :param hasher: ``md5``, ``none``, or the import path of a class
    :param include: glob patterns of paths to compare; without it, all
    :param exclude: glob patterns of paths to leave alone, on both sides
    """

    directory_options: ClassVar[tuple[str, ...]] = ("prefix", "hasher", "include", "exclude")
    template_fields: Sequence[str] = (*DifferenceSensor.template_fields, "directory", "path", *directory_options)
    template_fields_renderers: ClassVar[dict[str, str]] = {"directory": "json"}

    def __init__(
        self,
        *,
        directory: str | Mapping[str, Mapping[str, Any] | None],
        path: str | PathLike[str] | ObjectStoragePath | None = None,
        prefix: str | None = None,
        hasher: str | None = None,
        include: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.directory = directory
        self.path = path
        self.prefix = prefix
        self.hasher = hasher
        self.include = include
        self.exclude = exclude

    def differs(self, client: SyncClient) -> bool:
        """Whether the manifests of source and target differ."""
        directory = self._target()
        with DigestCache(cache_path(cache_setting())) as cache:
            return directory_differs(client, directory, OPENER.storage(directory.path), cache=cache)

    def watched(self) -> WatchedDirectory:
        """Return the source's files that are compared."""
        directory = self._target()
        return WatchedDirectory(
            name=directory.name, prefix=directory.prefix, include=directory.include, exclude=directory.exclude
        )

    def _target(self) -> TargetDirectory:
        options = {name: getattr(self, name) for name in self.directory_options}
        return only_one("directory", read_directories("directory", self.directory, self.path, options), plural="directories")
