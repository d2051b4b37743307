"""Base of the operators for single steps: records them as one sync, and passes pieces of work to the next step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from airflow.providers.common.compat.sdk import AirflowSkipException, Context, DownstreamTasksSkipped

from airflow_provider_sync.airflow_support.lineage import emit_events
from airflow_provider_sync.operators.sync_operator import SyncOperator
from airflow_provider_sync.report_table import format_reports
from airflow_provider_sync.sync.run_steps import WorkFound
from airflow_provider_sync.sync.step_value import Comparison, StepValue


class StepOperator(SyncOperator):
    """Run one step of a sync; the other steps are tasks of the same task group."""

    @property
    def series(self) -> str | None:
        """The id of the task group, taken from the task id; ``None`` outside a group."""
        return self.task_id.rpartition(".")[0] or None

    def finish_comparison(self, context: Context, compared: WorkFound[Any]) -> list[dict[str, Any]]:
        """Record the tables or directories that are up to date, and return the pieces of work for the download tasks.

        :raises AirflowSkipException: if everything is up to date
        :raises DownstreamTasksSkipped: if a table was created or got columns, and no rows differ: this task succeeds, with asset
            events, and the downstream tasks are skipped
        """
        for warning in compared.warnings:
            self.log.warning("%s", warning)
        self.record(context, compared.unchanged)
        if changed := [report for report in compared.unchanged if report.changed]:
            self.log.info("\n%s", format_reports(changed))  # a table was created, or columns were added, and no row differs
        emit_events(self, context, compared.unchanged, is_last=not compared.pieces)
        if not compared.pieces and changed:
            raise DownstreamTasksSkipped(tasks=sorted(self.downstream_task_ids))
        if not compared.pieces:
            raise AirflowSkipException("Everything is up to date.")
        comparison = _comparison(context, len(compared.pieces))
        return self.passed_on([msgspec.structs.replace(piece, comparison=comparison) for piece in compared.pieces])

    def passed_on(self, pieces: Sequence[StepValue]) -> list[dict[str, Any]]:
        """Log pieces of work, and return them in the JSON form that the next step reads."""
        for piece in pieces:
            self.log.info("%s", piece.summary)
        return [piece.to_dict() for piece in pieces]


def _comparison(context: Context, pieces: int) -> Comparison:
    instance = context.get("ti")
    if instance is None:
        return Comparison(pieces=pieces)
    return Comparison(task=f"{instance.task_id}/{instance.map_index}", attempt=instance.try_number, pieces=pieces)
