"""Write the reports of a command to the log, for runs whose output is not kept."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Sequence

from airflow_provider_sync.logs.formats import FIELDS
from airflow_provider_sync.report import Report

log = logging.getLogger(__name__)

_IN_FRONT = frozenset({"kind", "name", "status", "warnings", "error"})


def is_asked_for(options: Namespace) -> bool:
    """Whether to log the reports, too: the flags name a file, or a level below warnings."""
    return options.log_file is not None or options.log_level in ("debug", "info")


def log_reports(reports: Sequence[Report], options: Namespace) -> None:
    """Log a line for each report, with its numbers, if the flags ask for it."""
    if is_asked_for(options):
        for report in reports:
            level = logging.ERROR if report.status == "failed" else logging.WARNING if report.warnings else logging.INFO
            log.log(level, "%s %s: %s", report.kind, report.name, _words(report), extra={FIELDS: report.to_dict()})


def _words(report: Report) -> str:
    amounts = [f"{name}={value}" for name, value in report.to_dict().items() if value and name not in _IN_FRONT]
    said = report.error or "; ".join(report.warnings)
    return f"{report.status}{f': {said}' if said else ''}, {' '.join(amounts)}"
