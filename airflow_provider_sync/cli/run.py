"""``run``: sync what the configuration names."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path
from typing import Any

from airflow_provider_sync.cli.connections import open_database
from airflow_provider_sync.cli.opener import OPENER
from airflow_provider_sync.cli.run_log import log_reports
from airflow_provider_sync.cli.terminal.output import Line, Output, Part
from airflow_provider_sync.cli.terminal.progress_display import show_progress
from airflow_provider_sync.config import ClientConfig, DeleteLimit
from airflow_provider_sync.config.written_names import WrittenNames
from airflow_provider_sync.exceptions import ConfigurationError, SyncError, SyncFailed
from airflow_provider_sync.history import History, Origin, open_history, record_or_warn
from airflow_provider_sync.report import Report, all_failed
from airflow_provider_sync.report_table import notes_of, table_of
from airflow_provider_sync.sync import plan_run, run
from airflow_provider_sync.sync.noted_progress import noted_while_running
from airflow_provider_sync.sync.progress import silent, together
from airflow_provider_sync.sync.run import RunPlan

DONE = 0


def main(options: Namespace) -> int:
    """Sync what the configuration names, or only what the options name; see :mod:`.main` for the exit code."""
    job = f"airflow-sync run {Path(options.config).resolve()}"
    try:
        config = ClientConfig.from_yaml(options.config)
    except ConfigurationError as error:
        _record_unusable(options, job, str(error))
        raise
    plan = plan_run(config, tables=options.table, directories=options.directory).set_by_flags(**_limits(options))
    return run_and_show(config, plan, job, options)


def _record_unusable(options: Namespace, job: str, reason: str) -> None:
    """Record that nothing could be synced, if the file at least names a history and what to sync."""
    written = WrittenNames.of(options.config)
    if (url := written.history) is None or options.dry_run:
        return
    if options.table or options.directory:
        reports = all_failed(options.table, options.directory, reason)
    else:
        reports = all_failed(written.tables, written.directories, reason)
    opened = partial(open_history, url, days=written.history_days, open_engine=open_database)
    record_or_warn(opened, reports, Origin(source="command", job=job))


def _limits(options: Namespace) -> dict[str, Any]:
    """Return the options that the flags set for this run."""
    limits: dict[str, Any] = {"allow_empty_source": True} if options.allow_empty_source else {}
    if options.max_deletes is None:
        return limits
    try:
        DeleteLimit.parse(options.max_deletes)
    except ConfigurationError as error:
        raise ConfigurationError(str(error).replace("max_deletes", "--max-deletes")) from None
    return {**limits, "max_deletes": options.max_deletes}


def run_and_show(config: ClientConfig, plan: RunPlan, job: str, options: Namespace) -> int:
    """Sync what is planned, record it where the configuration says so, and show the reports.

    :param job: what the records call this run
    :param options: ``dry_run``, and those of the output
    :raises SyncFailed: when anything failed, after all reports were shown
    """
    output = Output.of(options)
    opened = None if options.dry_run else _opener_of(config)
    origin = Origin(source="command", job=job)

    def record(reports: Sequence[Report]) -> None:
        log_reports(reports, options)
        if opened is not None:
            record_or_warn(opened, reports, origin)

    with nullcontext(silent) if opened is None else noted_while_running(opened, origin, plan.names) as noted:
        try:
            with show_progress(quiet=options.quiet) as shown:
                reports = run(config, plan, opener=OPENER, dry_run=options.dry_run, progress=together(shown, noted))
        except SyncFailed as failure:
            record(failure.reports)
            show(failure.reports, output)
            raise
        except SyncError as error:
            # It failed before there were any reports.
            record(all_failed(plan.table_names, [entry.name for entry in plan.directories], str(error)))
            raise
        record(reports)
    show(reports, output)
    return DONE


def _opener_of(config: ClientConfig) -> Callable[[], History] | None:
    """Return a function that opens the configured history, always the same one; ``None`` if none is configured."""
    if (url := config.history) is None:
        return None
    return cache(lambda: open_history(url, days=config.history_days, open_engine=open_database))


def show(reports: Sequence[Report], output: Output) -> None:
    """Write the reports to standard output, as a table or as data."""
    if output.takes_data:
        output.data([report.to_dict() for report in reports])
    else:
        output.show(parts_of(reports))


def parts_of(reports: Sequence[Report]) -> Iterator[Part]:
    """Yield a table of reports, then the details that have no column; :mod:`.main` writes the errors to standard error."""
    if not reports:
        yield Line("Nothing to do: the configuration names no table and no directory.")
        return
    yield table_of(reports)
    for report in reports:
        for note in notes_of(report):
            yield Line(note, "warning" if ": warning: " in note else "")
