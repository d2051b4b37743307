"""The steps of a directory's sync as tasks of their own: compare, download, delete.

Each may run on another worker that reaches the target; between them there are only their results.
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
    """Do one step of a directory's sync; all steps take the same arguments, those of :class:`~.file_sync.FileSyncOperator`.

    The guards are checked by the first step and by the last, so that one answer would not be enough.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.on_guard != OnGuard.FAIL:
            raise ConfigurationError(
                "'on_guard' can ask in whole syncs, such as FileSyncOperator. The steps of directories fail: leave it out."
            )


class FileCompareOperator(FileStepOperator):
    """Compare directories with the source, check the guards, and cut what has to be downloaded into batches.

    The result is a list of batches, each for one :class:`FileDownloadOperator`. When everything is up to date, the task is
    skipped, and so is what follows it.

    :param batches: greatest number of batches, of all directories together
    """

    template_fields: Sequence[str] = (*FileStepOperator.template_fields, "batches")

    def __init__(self, *, batches: int | str = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batches = batches

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Compare.

        :raises AirflowSkipException: when there is nothing to do
        """
        with self.failing_tasks(context):
            batches = read_task_count("batches", self.batches)
            compared = compare_directories(self.server(), self.plan(), opener=OPENER, batches=batches)
        return self.finish_comparison(context, compared)


class FileDownloadOperator(FileStepOperator):
    """Download the files of one batch, or of several, that still differ: a retry downloads what its failed try did not.

    :param batch: a batch that :class:`FileCompareOperator` returned, or a list of them
    """

    template_fields: Sequence[str] = (*FileStepOperator.template_fields, "batch")
    template_fields_renderers: ClassVar[dict[str, str]] = {**FileStepOperator.template_fields_renderers, "batch": "json"}

    def __init__(self, *, batch: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch = batch

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Download."""
        with self.failing_tasks(context):
            batches = [FileBatch.from_dict(value) for value in read_step_results("batch", self.batch)]
            done = download_directories(
                self.server(), self.plan(), batches, opener=OPENER, dry_run=self.dry(), progress=self.progress()
            )
        return self.passed_on(done)


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
        with self.failing_tasks(context):
            batches = FileBatch.read_all(read_step_results("batches", self.batches))
            config, plan = self.server(), self.plan()
            reports = delete_in_directories(config, plan, batches, opener=OPENER, dry_run=self.dry())
        return self.finish(context, config, plan, reports)
