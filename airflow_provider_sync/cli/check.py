"""``check``: what is wrong with a configuration file, and whether what it names can be reached."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout

from airflow_provider_sync.cli.reach import Trial, try_client, try_server
from airflow_provider_sync.config import ClientConfig, ServerConfig
from airflow_provider_sync.config.file_check import check_file
from airflow_provider_sync.config.json_schema import json_schema
from airflow_provider_sync.config.mistakes import Mistake
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.printable import printable

DONE, USAGE, FAILED = 0, 2, 3


def main(options: Namespace) -> int:
    """Check one file, or print a schema; see :mod:`.main` for the exit code."""
    if options.schema:
        print(json.dumps(json_schema(options.schema), indent=2, ensure_ascii=False))
        return DONE
    if not options.config:
        raise ConfigurationError("There is nothing to check. Give --config FILE, or --schema server or client.")
    found = check_file(options.config, options.kind)
    if found.mistakes:
        print("\n".join(_line(options.config, mistake) for mistake in found.mistakes))
        return USAGE
    if not options.connect:
        print(f"{options.config}: nothing is wrong with it, as a {found.kind}.yaml. --connect also tries what it names.")
        return DONE
    # Airflow logs to standard output if one of its connections is named.
    with redirect_stdout(sys.stderr):
        if found.kind == "server":
            trials = list(try_server(ServerConfig.from_yaml(options.config)))
        else:
            trials = list(try_client(ClientConfig.from_yaml(options.config)))
    print("\n".join(_table(trials)))
    return FAILED if any(trial.failed for trial in trials) else DONE


def _line(path: str, mistake: Mistake) -> str:
    where = f"{path}:{mistake.line}" if mistake.line else path
    return f"{where}: {printable(mistake.message, 2000)}"


def _table(trials: Sequence[Trial]) -> Iterator[str]:
    """Format the trials as a table: one line each, with the reason at its end."""
    cells = [("", "what", "name"), *((trial.mark, trial.what, printable(trial.name, 60)) for trial in trials)]
    widths = [max(len(line[position]) for line in cells) for position in range(3)]
    results = ["result", *(" ".join(printable(trial.message, 2000).split()) for trial in trials)]
    for line, result in zip(cells, results, strict=True):
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=True)), result]).rstrip()
