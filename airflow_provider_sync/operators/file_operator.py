"""The arguments that all directory operators share, and the plan made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_sync.airflow_support.rendered_arguments import read_directories
from airflow_provider_sync.config import TargetDirectory
from airflow_provider_sync.operators.sync_operator import SyncOperator
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.sync.run import RunPlan


class FileOperator(SyncOperator):
    """Base of the operators that sync directories; :class:`~.file_sync.FileSyncOperator` documents the arguments."""

    report_kind = DirectoryReport
    names_argument = "directories"

    directory_options: ClassVar[tuple[str, ...]] = tuple(
        name for name in TargetDirectory.model_fields if name not in ("name", "path")
    )
    """The arguments that are defaults for the entries of ``directories``."""

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
        checksum: str | None = None,
        delete: bool | str | None = None,
        backup: str | None = None,
        backup_days: float | str | None = None,
        links: str | None = None,
        mtime: bool | str | None = None,
        permissions: bool | str | None = None,
        atomic: bool | str | None = None,
        durable: bool | str | None = None,
        downloads: int | str | None = None,
        skip_unreadable: bool | str | None = None,
        files_per_request: int | str | None = None,
        bytes_per_request: int | str | None = None,
        max_seconds: float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.directories = directories
        self.path = path
        arguments = locals()
        for option in self.directory_options:
            setattr(self, option, arguments[option])

    def plan(self) -> RunPlan:
        """Plan the sync of each directory, with its path in the target."""
        defaults = {name: getattr(self, name) for name in self.directory_options}
        return RunPlan(tables={}, directories=tuple(read_directories("directories", self.directories, self.path, defaults)))
