"""Operators for the single steps of a directory sync: compare, download, delete.

Each step may run on a different worker, if that can reach the target. The steps share nothing but their results (XCom).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import Context

from airflow_provider_sync.airflow_support.approval import OnGuard
from airflow_provider_sync.airflow_support.opener import OPENER
from airflow_provider_sync.airflow_support.rendered_arguments import read_step_results, read_task_count
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.operators.file_operator import FileOperator
from airflow_provider_sync.operators.step_operator import StepOperator
from airflow_provider_sync.sync.directories.steps import FileBatch
from airflow_provider_sync.sync.run_steps import compare_directories, delete_in_directories, download_directories


class FileStepOperator(StepOperator, FileOperator):
    """Run one step of a directory sync; every step takes the arguments of :class:`~.file_sync.FileSyncOperator`.

    ``on_guard="ask"`` is refused: the first and the last step both check the guards, so a person would have to approve twice.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.on_guard != OnGuard.FAIL:
            raise ConfigurationError(
                "'on_guard' can ask in whole syncs, such as FileSyncOperator. The steps of directories fail: leave it out."
            )


class FileCompareOperator(FileStepOperator):
    """Compare directories with the source, check the guards, and divide the files to download into batches.

    The result is a list of batches, each for one :class:`FileDownloadOperator`. If everything is up to date, this task and with
    it the downstream tasks are skipped.

    :param batches: maximum number of batches, for all directories together
    """

    template_fields: Sequence[str] = (*FileStepOperator.template_fields, "batches")

    def __init__(self, *, batches: int | str = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batches = batches

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Compare, and return the batches.

        :raises AirflowSkipException: if everything is up to date
        """
        with self.failing_tasks(context):
            batches = read_task_count("batches", self.batches)
            compared = compare_directories(self.server(), self.plan(), opener=OPENER, batches=batches)
        return self.finish_comparison(context, compared)


class FileDownloadOperator(FileStepOperator):
    """Download those files of one or more batches that still differ; a retry skips the files that an earlier try downloaded.

    :param batch: a batch that :class:`FileCompareOperator` returned, or a list of them
    """

    template_fields: Sequence[str] = (*FileStepOperator.template_fields, "batch")
    template_fields_renderers: ClassVar[dict[str, str]] = {**FileStepOperator.template_fields_renderers, "batch": "json"}

    def __init__(self, *, batch: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch = batch

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Download, and return the batches with what was done."""
        with self.failing_tasks(context):
            batches = [FileBatch.from_dict(value) for value in read_step_results("batch", self.batch)]
            done = download_directories(
                self.server(), self.plan(), batches, opener=OPENER, dry_run=self.dry(), progress=self.progress()
            )
        return self.passed_on(done)


class FileDeleteOperator(FileStepOperator):
    """Check the guards again, then delete files that the source lacks.

    The result is a list of reports as of :class:`~.file_sync.FileSyncOperator`, one for each directory that differed, with the
    costs of all steps.

    :param batches: the results of all download tasks
    """

    template_fields: Sequence[str] = (*FileStepOperator.template_fields, "batches")
    template_fields_renderers: ClassVar[dict[str, str]] = {**FileStepOperator.template_fields_renderers, "batches": "json"}

    def __init__(self, *, batches: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batches = batches

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Delete, log the reports as a table, and return them."""
        with self.failing_tasks(context):
            batches = FileBatch.read_all(read_step_results("batches", self.batches))
            config, plan = self.server(), self.plan()
            reports = delete_in_directories(config, plan, batches, opener=OPENER, dry_run=self.dry())
        return self.finish(context, config, plan, reports)
