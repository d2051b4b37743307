"""``check``: report the mistakes of a configuration file, and whether its databases, directories and server can be reached."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import redirect_stdout

from airflow_provider_sync.cli.config_places import KINDS, find_config
from airflow_provider_sync.cli.config_trials import Trial, try_client, try_server
from airflow_provider_sync.cli.terminal.current_step import show_steps
from airflow_provider_sync.cli.terminal.output import Line, Output
from airflow_provider_sync.config import ClientConfig, ServerConfig
from airflow_provider_sync.config.exposed_secrets import exposed_secrets
from airflow_provider_sync.config.file_check import check_file
from airflow_provider_sync.config.json_schema import json_schema
from airflow_provider_sync.config.mistakes import Mistake
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.printable import printable
from airflow_provider_sync.text_table import TextTable

DONE, USAGE, FAILED = 0, 2, 3


def main(options: Namespace) -> int:
    """Check one file, or print a schema; see :mod:`.main` for the exit code."""
    if options.schema:
        print(json.dumps(json_schema(options.schema), indent=2, ensure_ascii=False))
        return DONE
    path = options.config or _find(options.kind)
    output = Output.of(options)
    found = check_file(path, options.kind)
    if found.mistakes:
        # Mistakes are errors, so --quiet shows them.
        Output(sys.stdout).show(Line(_line(path, mistake)) for mistake in found.mistakes)
        return USAGE
    if not options.connect:
        exposed = exposed_secrets(path)
        said = [f"{path}: checked as a {found.kind}.yaml, no mistakes. --connect also tries what it names.", exposed]
        output.show(Line(line) for line in said if line)
        return DONE
    # Airflow logs to standard output if one of its connections is named.
    with redirect_stdout(sys.stderr), show_steps(quiet=options.quiet) as say:
        say(f"Trying what {path} names")
        trials: list[Trial] = []
        trying = try_server(ServerConfig.from_yaml(path)) if found.kind == "server" else try_client(ClientConfig.from_yaml(path))
        for trial in trying:
            trials.append(trial)
            say(f"Tried {trial.what} {trial.name} ({len(trials)} done)")
    failed = [trial for trial in trials if trial.failed]
    if failed or not options.quiet:
        Output(sys.stdout).show([_table(failed if options.quiet else trials)])
    return FAILED if failed else DONE


def _find(kind: str | None) -> str:
    """Return the path of the configuration to check if no argument names one."""
    found = find_config([kind] if kind else KINDS)
    if found is None:
        raise ConfigurationError("There is nothing to check. Give --config FILE, or --schema server or client.")
    return found


def _line(path: str, mistake: Mistake) -> str:
    where = f"{path}:{mistake.line}" if mistake.line else path
    return f"{where}: {printable(mistake.message, 2000)}"


def _table(trials: Sequence[Trial]) -> TextTable:
    """Return the trials as a table: one row each, with the reason at its end."""
    return TextTable(
        ("", "what", "name", "result"),
        [(trial.mark, trial.what, printable(trial.name, 200), _on_one_line(trial.message)) for trial in trials],
    )


def _on_one_line(message: str) -> str:
    return printable(" ".join(message.split()), 2000)
