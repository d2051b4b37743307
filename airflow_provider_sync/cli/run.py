"""``run``: sync what the configuration names."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from airflow_provider_sync.cli.opener import OPENER, open_database
from airflow_provider_sync.cli.progress_bars import show_progress
from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.exceptions import SyncError, SyncFailed
from airflow_provider_sync.history import Origin, open_history, record_or_warn
from airflow_provider_sync.report import DirectoryReport, Report, TableReport
from airflow_provider_sync.report_table import format_reports
from airflow_provider_sync.sync import plan_run, run
from airflow_provider_sync.sync.run import RunPlan

DONE = 0


def main(options: Namespace) -> int:
    """Sync what the configuration names, or only what the options name; see :mod:`.main` for the exit code."""
    config = ClientConfig.from_yaml(options.config)
    plan = plan_run(config, tables=options.table, directories=options.directory)
    job = f"airflow-sync run {Path(options.config).resolve()}"
    return run_and_show(config, plan, job, dry_run=options.dry_run, as_json=options.json)


def run_and_show(config: ClientConfig, plan: RunPlan, job: str, *, dry_run: bool, as_json: bool) -> int:
    """Sync what is planned, record it where the configuration says so, and show the reports.

    :param job: what the records call this run
    :raises SyncFailed: when anything failed, after all reports were shown
    """

    def record(reports: Sequence[Report]) -> None:
        if config.history is not None and not dry_run:
            opened = partial(open_history, config.history, days=config.history_days, open_engine=open_database)
            record_or_warn(opened, reports, Origin(source="command", job=job))

    try:
        with show_progress() as progress:
            reports = run(config, plan, opener=OPENER, dry_run=dry_run, progress=progress)
    except SyncFailed as failure:
        record(failure.reports)
        show(failure.reports, as_json=as_json)
        raise
    except SyncError as error:
        # Before there were any reports.
        record(_all_failed(plan, str(error)))
        raise
    record(reports)
    show(reports, as_json=as_json)
    return DONE


def _all_failed(plan: RunPlan, reason: str) -> list[Report]:
    tables = [TableReport(name=name, status="failed", error=reason) for name in plan.table_names]
    return [*tables, *(DirectoryReport(name=entry.name, status="failed", error=reason) for entry in plan.directories)]


def show(reports: Sequence[Report], *, as_json: bool) -> None:
    """Print the reports on standard output, as a table or as JSON."""
    if as_json:
        json.dump([report.to_dict() for report in reports], sys.stdout, indent=2)
        print()
    elif reports:
        print(format_reports(reports))
    else:
        print("Nothing to do: the configuration names no table and no directory.")
