"""Write records from a process of its own: `python -m tests.history.writer URL NUMBER`."""

from __future__ import annotations

import sys

from airflow_provider_sync.history import Origin, open_history
from airflow_provider_sync.report import TableReport

if __name__ == "__main__":
    history = open_history(sys.argv[1])
    for number in range(int(sys.argv[2])):
        report = TableReport(name="orders", status="changed", rows_inserted=number)
        history.record([report], Origin(source="command", job=f"writer {sys.argv[3]}"))
