"""Collect the reports for an Airflow callback: those of its task, or of all tasks of its DAG run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any, Self

import msgspec
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_provider_sync.airflow_support.task_failures import reason_of
from airflow_provider_sync.airflow_support.task_history import open_airflow_history
from airflow_provider_sync.history import Record
from airflow_provider_sync.report import Report
from airflow_provider_sync.report_table import format_reports


class CallbackReports(msgspec.Struct, frozen=True, kw_only=True):
    """What a message is about, as templates use it.

    :ivar subject: ``DAG/TASK``, or the DAG if it is about a whole run
    :ivar error: what ended the task, or that a deadline was missed; empty otherwise
    :ivar reports: as :meth:`.Report.to_dict` writes them, each with its ``task_id``
    :ivar table: the same as a table of text, with the task before each name if there are several; empty without reports
    """

    subject: str
    error: str
    reports: tuple[dict[str, Any], ...]
    table: str

    @property
    def summary(self) -> str:
        """One line: ``shop/tables: 2 changed, 1 failed``."""
        numbers = ", ".join(f"{len(found)} {status}" for status in _STATUSES if (found := self.of_status(status)))
        return f"{self.subject}: {numbers or self.error.partition(chr(10))[0] or 'nothing was synced'}"

    @property
    def changed(self) -> bool:
        """Whether anything changed, or went wrong."""
        return bool(self.error) or any(report["status"] != "unchanged" for report in self.reports)

    def of_status(self, status: str) -> list[str]:
        """Return the names of the tables and directories that ended so."""
        return [report["name"] for report in self.reports if report["status"] == status]

    def escaped(self) -> Self:
        """Return the same with ``&``, ``<`` and ``>`` in every text as entities, as Slack's format and HTML want data.

        Names and errors come from other systems: ``<!channel>`` would call everybody, and ``<https://…|text>`` be a link. In the
        Markdown of Mattermost, ``@all`` and ``[text](https://…)`` would, so a space of no width parts them.
        """
        fields = msgspec.structs.asdict(self)
        return type(self)(**{name: _escaped(value) for name, value in fields.items()})


_STATUSES = ("failed", "changed", "planned", "unchanged")


def reports_of(context: Mapping[str, Any]) -> CallbackReports:
    """Read what happened from the context of a callback.

    A task that has just synced has its reports. For a whole run, and for the missed deadline of one, the history has them.
    """
    task = getattr(context.get("ti"), "task", None) or context.get("task")
    # The context of a DAG's callback has a reason, and names one of the run's tasks, too.
    if task is not None and "reason" not in context:
        # Airflow 3.1 runs a copy of the task that the context names; its instance has the copy.
        reports = [(task.task_id, report) for report in getattr(task, "reports", ())]
        subject = f"{task.dag_id}/{task.task_id}"
    else:
        reports = _of_run(context)
        subject = _dag_id(context) or "airflow"
    return CallbackReports(
        subject=subject,
        error=_error_of(context, subject),
        reports=tuple({**report.to_dict(), "task_id": task_id} for task_id, report in reports),
        table=format_reports(_told_apart(reports)) if reports else "",
    )


_NO_WIDTH = "\u200b"
_MENTION = re.compile(r"(?<!\w)@(?=\w)")
"""A mention in Markdown; the ``@`` of a URL or of an address of mail follows a letter or a digit."""


def _escaped(value: Any) -> Any:
    match value:
        case str():
            text = _MENTION.sub(f"@{_NO_WIDTH}", escape(value, quote=False))
            for mark in ("](", "``"):
                text = text.replace(mark, mark[0] + _NO_WIDTH + mark[1])
            return text
        case list() | tuple():
            return type(value)(map(_escaped, value))
        case dict():
            return {_escaped(name): _escaped(entry) for name, entry in value.items()}
        case _:
            return value


def _told_apart(reports: Sequence[tuple[str, Report]]) -> list[Report]:
    """Put the task before each name where a run has several: two of them may sync tables of one name."""
    if len({task_id for task_id, _ in reports}) == 1:
        return [report for _, report in reports]
    return [msgspec.structs.replace(report, name=f"{task_id}: {report.name}") for task_id, report in reports]


def _error_of(context: Mapping[str, Any], subject: str) -> str:
    if deadline := context.get("deadline"):
        return f"Run {_run_id(context)} missed its deadline, {deadline['deadline_time']}."
    error = context.get("exception")
    if error is None:
        # What Airflow says of a whole run: "task_failure", "success".
        reason = str(context.get("reason") or "")
        return "" if reason in ("", "success") else f"The run of {subject} ended: {reason.replace('_', ' ')}."
    return reason_of(error) if isinstance(error, AirflowTaskTimeout) else str(error)


def _of_run(context: Mapping[str, Any]) -> list[tuple[str, Report]]:
    """Return what the run has recorded, each report with its task, or with the group whose tasks are the steps of one sync.

    Of the tries of a task, the last one counts.
    """
    dag_id, run_id = _dag_id(context), _run_id(context)
    if not dag_id or not run_id:
        return []
    started = _field(context, "start_date")
    since = datetime.fromisoformat(started) if isinstance(started, str) else started
    found = open_airflow_history().of_run(dag_id, run_id, since=since)
    tries = {_task_of(record): record.origin.try_number for record in found}
    return [
        (record.key.job.removeprefix(f"{dag_id}/"), record.report)
        for record in found
        if record.origin.try_number == tries[_task_of(record)]
    ]


def _task_of(record: Record) -> tuple[str | None, int | None]:
    return record.origin.task_id, record.origin.map_index


def _dag_id(context: Mapping[str, Any]) -> str | None:
    # Where Airflow cannot tell the run's last task, it gives the DAG and the id of the run alone.
    return _field(context, "dag_id") or getattr(context.get("dag"), "dag_id", None)


def _run_id(context: Mapping[str, Any]) -> str | None:
    return _field(context, "run_id") or _field(context, "dag_run_id") or context.get("run_id")


def _field(context: Mapping[str, Any], name: str) -> Any:
    """Read a field of the DAG run, which is a mapping in callbacks of deadlines."""
    dag_run = context.get("dag_run")
    return dag_run.get(name) if isinstance(dag_run, Mapping) else getattr(dag_run, name, None)
