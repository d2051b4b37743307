"""``doctor``: explain why tables differ although they look alike."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import redirect_stdout

import msgspec

from airflow_provider_sync.cli.opener import OPENER
from airflow_provider_sync.cli.terminal.current_step import show_steps
from airflow_provider_sync.cli.terminal.output import Line, Output
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.printable import printable
from airflow_provider_sync.sync import plan_run
from airflow_provider_sync.sync.tables.doctor import ColumnFinding, Diagnosis, diagnose_table

DONE, DIFFERENT = 0, 1


def main(options: Namespace) -> int:
    """Explain every table, or those that the arguments name; see :mod:`.main` for the exit code."""
    config = ClientConfig.from_yaml(options.config)
    plan = plan_run(config, tables=options.table or tuple(config.tables))
    found: list[Diagnosis] = []
    output = Output.of(options)
    # Airflow logs to standard output if one of its connections is named.
    with (
        redirect_stdout(sys.stderr),
        show_steps(quiet=options.quiet or options.output == "plain") as say,
        SyncClient.from_config(config) as client,
    ):
        for url, tables in plan.resolved(client).tables.items():
            with OPENER.existing_database(url) as database:
                for table in tables:
                    say(f"Comparing {table.name}, column by column ({len(found)} tables done)")
                    found.append(diagnose_table(client, table, database))
    if output.takes_data:
        output.data([{**msgspec.to_builtins(entry), "differs": entry.differs} for entry in found])
    else:
        output.show(line for entry in found for line in _shown_lines(entry))
    return DIFFERENT if any(entry.differs for entry in found) else DONE


def _shown_lines(found: Diagnosis) -> Iterator[Line]:
    # Names, keys and values come from the source and may have any characters.
    heading, *others = map(printable, _lines(found))
    yield Line(heading, "changed" if found.differs else "added")
    yield from map(Line, others)


def _lines(found: Diagnosis) -> Iterator[str]:
    yield f"{found.name}: {'differs' if found.differs else 'equal'}"
    if found.missing:
        yield f"  {_rows(found.missing)} only in the source"
    if found.surplus:
        yield f"  {_rows(found.surplus)} only in the target"
    if found.keys:
        yield f"  their keys are nearly equal: {found.keys}"
    for column in found.columns:
        yield from _column(column)
    for note in found.notes:
        yield f"  {note}"


def _column(found: ColumnFinding) -> Iterator[str]:
    yield f"  column {found.column}: {f'{_rows(found.rows)}: ' if found.rows else ''}{found.reason}"
    for sample in found.samples:
        yield f"    {', '.join(sample.key)}: source {_shown(sample.source)}, target {_shown(sample.target)}"


def _rows(number: int) -> str:
    return f"{number:,} {'row' if number == 1 else 'rows'}"


def _shown(text: str | None) -> str:
    """Show a value as a literal, so that blanks are visible; add its ASCII form if it has characters that look alike."""
    if text is None:
        return "NULL"
    return repr(text) if text.isascii() else f"{text!r} ({text!a})"
