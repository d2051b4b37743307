"""The steps of a directory's sync as tasks of their own: compare, download, delete.

Each may run on another worker that reaches the target; between them there are only their results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowSkipException, Context

from airflow_provider_sync.airflow_support.rendered_arguments import converted, number_of_tasks, results_of_steps
from airflow_provider_sync.config import TargetDirectory
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.files import Storage
from airflow_provider_sync.operators.file_operator import FileOperator
from airflow_provider_sync.operators.step_reports import StepReports, failing_as
from airflow_provider_sync.operators.sync_operator import OPENER
from airflow_provider_sync.report import DirectoryReport, Report
from airflow_provider_sync.report_table import format_reports
from airflow_provider_sync.sync.directories.steps import FileBatch, compare_directory, delete_files, download_batch


class FileStepOperator(StepReports, FileOperator):
    """What the steps have in common; all take the arguments of :class:`~.file_sync.FileSyncOperator`, and need the same."""

    def find_directory(self, name: str) -> tuple[TargetDirectory, Storage]:
        """Return the options and the place of a directory that a step before has named.

        :raises ConfigurationError: when this task's ``directories`` do not have it
        """
        for directory in self.plan().directories:
            if directory.name == name:
                return directory, OPENER.storage(directory.path)
        raise ConfigurationError(
            f"The step before names the directory {name!r}, which 'directories' does not. Give all steps the same."
        )


class FileCompareOperator(FileStepOperator):
    """Compare directories with the source, check the guards, and cut what has to be downloaded into batches.

    The result is a list of batches, each for one :class:`FileDownloadOperator`. When everything is up to date, the task is
    skipped, and so is what follows it.

    :param batches: most batches, of all directories together
    """

    template_fields: Sequence[str] = (*FileStepOperator.template_fields, "batches")

    def __init__(self, *, batches: int | str = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batches = batches

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Compare.

        :raises AirflowSkipException: when there is nothing to do
        """
        found: list[FileBatch] = []
        unchanged: list[DirectoryReport] = []
        with self.failing_tasks(context), self.client() as client:
            directories = self.plan().directories
            each = max(1, number_of_tasks("batches", self.batches) // len(directories))
            for directory in directories:
                with failing_as(DirectoryReport, directory.name):
                    outcome = compare_directory(client, directory, OPENER.storage(directory.path), batches=each)
                if isinstance(outcome, DirectoryReport):
                    unchanged.append(outcome)
                else:
                    found += outcome
        self.record(context, unchanged)
        if not found:
            raise AirflowSkipException("Everything is up to date.")
        for batch in found:
            self.log.info("Directory %r: %s files, %r to %r.", batch.directory, f"{batch.files:,}", batch.first, batch.last)
        return [batch.to_dict() for batch in found]


class FileDownloadOperator(FileStepOperator):
    """Download the files of one batch, or of several, that still differ; so a retry goes on where its failed try stopped.

    :param batch: a batch that :class:`FileCompareOperator` returned, or a list of them
    """

    template_fields: Sequence[str] = (*FileStepOperator.template_fields, "batch")
    template_fields_renderers: ClassVar[dict[str, str]] = {**FileStepOperator.template_fields_renderers, "batch": "json"}

    def __init__(self, *, batch: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch = batch

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Download."""
        done: list[FileBatch] = []
        progress = self.progress()
        with self.failing_tasks(context), self.client() as client:
            dry_run = converted("dry_run", self.is_dry_run, bool)
            for value in results_of_steps("batch", self.batch):
                batch = FileBatch.from_dict(value)
                directory, storage = self.find_directory(batch.directory)
                with failing_as(DirectoryReport, batch.directory):
                    done.append(download_batch(client, directory, storage, batch, dry_run=dry_run, progress=progress))
        return [batch.to_dict() for batch in done]


class FileDeleteOperator(FileStepOperator):
    """Check the guards again, and delete what the source lacks, last.

    The result is that of :class:`~.file_sync.FileSyncOperator` for the directories that differed, with the costs of all steps.

    :param batches: everything that the downloads returned
    """

    template_fields: Sequence[str] = (*FileStepOperator.template_fields, "batches")
    template_fields_renderers: ClassVar[dict[str, str]] = {**FileStepOperator.template_fields_renderers, "batches": "json"}

    def __init__(self, *, batches: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batches = batches

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Delete, log the reports as a table, and return them."""
        by_name: dict[str, list[FileBatch]] = {}
        reports: list[Report] = []
        with self.failing_tasks(context), self.client() as client:
            dry_run = converted("dry_run", self.is_dry_run, bool)
            for value in results_of_steps("batches", self.batches):
                batch = FileBatch.from_dict(value)
                by_name.setdefault(batch.directory, []).append(batch)
            for name, batches in by_name.items():
                directory, storage = self.find_directory(name)
                with failing_as(DirectoryReport, name):
                    reports.append(delete_files(client, directory, storage, batches, dry_run=dry_run))
            config, plan = self.server(), self.plan()
        self.record(context, reports)
        self.log.info("\n%s", format_reports(reports))
        return self.finish(context, config, plan, reports)
