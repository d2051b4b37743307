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
    try:
        with show_progress() as progress:
            reports = run(config, plan, opener=OPENER, dry_run=options.dry_run, progress=progress)
    except SyncFailed as failure:
        _record(failure.reports, config, options)
        show(failure.reports, as_json=options.json)
        raise
    except SyncError as error:
        # Before there were any reports.
        _record(_all_failed(plan, str(error)), config, options)
        raise
    _record(reports, config, options)
    show(reports, as_json=options.json)
    return DONE


def _all_failed(plan: RunPlan, reason: str) -> list[Report]:
    tables = [TableReport(name=table.name, status="failed", error=reason) for group in plan.tables.values() for table in group]
    return [*tables, *(DirectoryReport(name=entry.name, status="failed", error=reason) for entry in plan.directories)]


def _record(reports: Sequence[Report], config: ClientConfig, options: Namespace) -> None:
    if config.history is not None and not options.dry_run:
        origin = Origin(source="command", job=f"airflow-sync run {Path(options.config).resolve()}")
        opened = partial(open_history, config.history, days=config.history_days, open_engine=open_database)
        record_or_warn(opened, reports, origin)


def show(reports: Sequence[Report], *, as_json: bool) -> None:
    """Print the reports on standard output, as a table or as JSON."""
    if as_json:
        json.dump([report.to_dict() for report in reports], sys.stdout, indent=2)
        print()
    elif reports:
        print(format_reports(reports))
    else:
        print("Nothing to do: the configuration names no table and no directory.")
