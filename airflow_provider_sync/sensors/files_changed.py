"""The sensor that detects whether a directory of the source differs from its target."""

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

    If nothing changed on either side since the last sync, the check costs one request, and no file is read. Otherwise it
    compares sizes, times and digests. A version 1 source without digests (hasher ``none``) counts as changed if it has any file.

    :param directory: the name that the server offers, or a mapping of it to options, as ``FileSyncOperator`` takes them
    :param path: target: a local path, a URL such as ``s3://conn_id@bucket/prefix``, or an ``ObjectStoragePath``
    :param sync_conn_id: connection of the sync server
    :param when_unchanged: ``skip`` this task, and with it the downstream tasks, or ``wait`` until they differ
    :param deferrable: wait in the triggerer, which watches only the source: if another process changes the target, the sensor
        notices at the source's next change. The default is Airflow's ``[operators] default_deferrable``
    :param max_seconds: time limit, in seconds, for one comparison; by default, the connection's, and half an hour in the
        triggerer
    :param prefix: folder of the source, such as ``2026/01``, that is compared with ``path``
    :param hasher: ``md5``, ``none``, or the import path of a class
    :param include: glob patterns of the paths to compare; all by default
    :param exclude: glob patterns of paths to ignore, on both sides
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
        """Tell whether the manifests of source and target differ."""
        directory = self._target()
        with DigestCache(cache_path(cache_setting())) as cache:
            return directory_differs(client, directory, OPENER.storage(directory.path), cache=cache)

    def watched(self) -> WatchedDirectory:
        """Return the directory of the source, with the prefix and patterns that select its files."""
        directory = self._target()
        return WatchedDirectory(
            name=directory.name, prefix=directory.prefix, include=directory.include, exclude=directory.exclude
        )

    def _target(self) -> TargetDirectory:
        options = {name: getattr(self, name) for name in self.directory_options}
        return only_one("directory", read_directories("directory", self.directory, self.path, options), plural="directories")
