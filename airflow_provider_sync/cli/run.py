"""``run``: synchronise."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence

from airflow_provider_sync.cli.connections import OPENER
from airflow_provider_sync.cli.progress import show_progress
from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.report import Report
from airflow_provider_sync.report_table import format_reports
from airflow_provider_sync.sync import plan_run, run

DONE = 0


def main(options: Namespace) -> int:
    """Run what the configuration names; see :mod:`.main` for the exit code."""
    config = ClientConfig.from_yaml(options.config)
    plan = plan_run(config, tables=options.table, directories=options.directory)
    try:
        with show_progress() as progress:
            reports = run(config, plan, opener=OPENER, dry_run=options.dry_run, progress=progress)
    except SyncFailed as failure:
        show(failure.reports, as_json=options.json)
        raise
    show(reports, as_json=options.json)
    return DONE


def show(reports: Sequence[Report], *, as_json: bool) -> None:
    """Print the reports on standard output, and as JSON nothing else."""
    if as_json:
        json.dump([report.to_dict() for report in reports], sys.stdout, indent=2)
        print()
    elif reports:
        print(format_reports(reports))
    else:
        print("Nothing to do: the configuration names no table and no directory.")
