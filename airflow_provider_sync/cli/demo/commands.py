"""A process in which Airflow commands run one after the other, so that Airflow is imported once and not for each.

Started by :mod:`.airflow`, with the environment that the commands need. A line of standard input is a JSON list of
arguments; a line of standard output is the exit code. What the commands print goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import traceback


def main() -> None:
    """Run commands until standard input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    from airflow.cli.cli_parser import get_parser

    parser = get_parser()
    for line in sys.stdin:
        code = 0
        try:
            options = parser.parse_args(json.loads(line))
            options.func(options)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except Exception:  # noqa: BLE001  # whatever a command dies of, the next line of the log says it, and the parent hears of it
            traceback.print_exc()
            code = 1
        print(code, file=answers, flush=True)


if __name__ == "__main__":
    main()
