"""The operator that keeps directories in step, in one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_sync.hooks.rendered import target_directories
from airflow_provider_sync.operators.sync_operator import SyncOperator
from airflow_provider_sync.sync.run import RunPlan


class FileSyncOperator(SyncOperator):
    """Make directories equal to those that a sync server offers.

    The result is a list of reports, one for each directory, which are also logged as a table. What no retry can mend
    fails the task at once. Everything here is a template field, and text that is a list or mapping, a number, ``true``
    or ``false`` is read as such.

    .. seealso:: The how-to guide "Sync tables and directories with Airflow".

    :param directories: a name, a list of names, or a mapping of names to options; names are those that the server offers
    :param path: for a single name, where its files are kept; for a list or mapping, the folder in which each entry
        without a ``path`` of its own gets a folder of its name. A local path, a URL such as
        ``s3://conn_id@bucket/prefix``, or an ``ObjectStoragePath``
    :param sync_conn_id: connection of the server
    :param skip_unchanged: skip the task, and so what follows it, when every directory was up to date
    :param dry_run: report what would change, and write nothing
    :param prefix: a folder of the source: only its files are synchronised, and ``path`` stands for it
    :param hasher: ``md5``, ``none``, or the import path of a class
    :param include: glob patterns of paths to synchronise; all without
    :param exclude: glob patterns of paths to leave alone, on both sides
    :param max_deletes: files that one sync may delete: a number, or a share such as ``50%``
    :param allow_empty_source: whether an empty source may empty the target
    :param files_per_request: at most this many files in one request
    :param bytes_per_request: ask for fewer files at once where they are so large that a request would exceed this
    """

    directory_options: ClassVar[tuple[str, ...]] = (
        "prefix",
        "hasher",
        "include",
        "exclude",
        "max_deletes",
        "allow_empty_source",
        "files_per_request",
        "bytes_per_request",
    )
    template_fields: Sequence[str] = (*SyncOperator.template_fields, "directories", "path", *directory_options)
    template_fields_renderers: ClassVar[dict[str, str]] = {"directories": "json"}

    def __init__(
        self,
        *,
        directories: str | Sequence[str] | Mapping[str, Mapping[str, Any] | None],
        path: str | PathLike[str] | ObjectStoragePath | None = None,
        prefix: str | None = None,
        hasher: str | None = None,
        include: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] | None = None,
        max_deletes: str | int | None = None,
        allow_empty_source: bool | str | None = None,
        files_per_request: int | str | None = None,
        bytes_per_request: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.directories = directories
        self.path = path
        self.prefix = prefix
        self.hasher = hasher
        self.include = include
        self.exclude = exclude
        self.max_deletes = max_deletes
        self.allow_empty_source = allow_empty_source
        self.files_per_request = files_per_request
        self.bytes_per_request = bytes_per_request

    def plan(self) -> RunPlan:
        """Decide where each directory is kept."""
        defaults = {name: getattr(self, name) for name in self.directory_options}
        return RunPlan(tables={}, directories=tuple(target_directories("directories", self.directories, self.path, defaults)))
