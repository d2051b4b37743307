"""``diff``: show the rows and files that a run would change, by key, name and size."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import msgspec

from airflow_provider_sync.cli.opener import OPENER
from airflow_provider_sync.cli.run import parts_of
from airflow_provider_sync.cli.run_log import log_reports
from airflow_provider_sync.cli.terminal.output import Line, Output, Part
from airflow_provider_sync.cli.terminal.progress_display import show_progress
from airflow_provider_sync.cli.terminal.styles import Meaning
from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.databases.table_slice import Key
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.printable import printable
from airflow_provider_sync.sync import plan_run
from airflow_provider_sync.sync.directories.diff import DirectoryDiff, FileChange
from airflow_provider_sync.sync.run_diff import RunDiff, diff_run
from airflow_provider_sync.sync.tables.diff import TableDiff
from airflow_provider_sync.sync.tables.version2.row_changes import RowChanges

DONE, DIFFERENT = 0, 1

_MARKS = {"add": "+", "update": "~", "set metadata": "~", "delete": "-"}
_MEANINGS: dict[str, Meaning] = {"+ ": "added", "~ ": "changed", "- ": "removed"}


def main(options: Namespace) -> int:
    """Show what differs; see :mod:`.main` for the exit code."""
    config = ClientConfig.from_yaml(options.config)
    plan = plan_run(config, tables=options.table, directories=options.directory)
    output = Output.of(options)
    with show_progress(quiet=options.quiet) as progress:
        found = diff_run(config, plan, opener=OPENER, progress=progress)
    log_reports(found.reports, options)
    if output.takes_data:
        output.data(_plain(found))
    else:
        output.show(_parts(found, options.keys))
    if found.failures:
        raise SyncFailed.of(found.failures, found.reports) from found.failures[0]
    return DIFFERENT if any(report.changed for report in found.reports) else DONE


def _plain(found: RunDiff) -> list[dict[str, Any]]:
    tables = [
        {**table.report.to_dict(), "keys": _plain_keys(table.changes), "keys_omitted": table.keys_omitted}
        for table in found.tables
    ]
    directories = [
        {
            **directory.report.to_dict(),
            "changes": msgspec.to_builtins(directory.changes),
            "paths_omitted": directory.paths_omitted,
        }
        for directory in found.directories
    ]
    return [*tables, *directories]


def _plain_keys(changes: RowChanges | None) -> dict[str, list[list[str]]] | None:
    """Return keys as lists of texts; ``None`` if they are unknown, an empty list if there are none."""
    if changes is None:
        return None
    kinds = {"inserted": changes.inserted, "updated": changes.updated, "deleted": changes.deleted}
    return {kind: [list(key) for key in keys] for kind, keys in kinds.items()}


def _parts(found: RunDiff, most: int) -> Iterator[Part]:
    """Yield the table of reports, followed by the differences of each table and directory."""
    yield from parts_of(found.reports)
    lines = [line for table in found.tables for line in _lines(table, most)]
    lines += [line for directory in found.directories for line in _lines_of_files(directory, most)]
    # An empty line precedes a heading.
    before = ["", *lines]
    for line, last in zip(lines, before, strict=False):
        yield Line(line, "heading" if line and not last else _MEANINGS.get(line[:2], ""))


def _lines(table: TableDiff, most: int) -> Iterator[str]:
    changes = table.changes
    if changes is None or not len(changes):
        return
    yield ""
    yield f"{printable(table.report.name)}:"
    yield from islice(
        chain(_marked("+", changes.inserted), _marked("~", changes.updated), _marked("-", changes.deleted)),
        most,
    )
    if (differing := len(changes) + table.keys_omitted) > most:
        yield f"… and {differing - most:,} more"


def _lines_of_files(directory: DirectoryDiff, most: int) -> Iterator[str]:
    """Yield a table of paths, sizes and reasons."""
    changes = directory.changes[:most]
    if not directory.changes:
        return
    yield ""
    yield f"{printable(directory.report.name)}:"
    rows = [(f"{_MARKS[change.change]} {_shown(change.path)}", _sizes(change), change.reason) for change in changes]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if (differing := len(directory.changes) + directory.paths_omitted) > most:
        yield f"… and {differing - most:,} more"


def _sizes(change: FileChange) -> str:
    before, after = change.target_size, change.source_size
    if before is None and after is None:
        return change.kind
    if before is None or after is None or before == after:
        return f"{after if before is None else before:,} bytes"
    return f"{before:,} → {after:,} bytes"


def _shown(text: str) -> str:
    """Return a text, as a literal if it has characters that would break the line."""
    return text if text.isprintable() else repr(text)


def _marked(mark: str, keys: Sequence[Key]) -> Iterator[str]:
    for key in keys:
        yield f"{mark} " + ", ".join(map(_shown, key))
