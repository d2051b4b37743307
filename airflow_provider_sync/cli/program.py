"""The program ``airflow-sync``: it imports almost nothing, so that Ctrl-C ends it cleanly from the first moment."""

# PYTHON_ARGCOMPLETE_OK

from __future__ import annotations

import signal


def main() -> int:
    """Run one command of the process's arguments; see :mod:`.main`.

    Until the command listens to Ctrl-C, it ends the process as it ends other programs: at once, and without a traceback of
    half-imported modules.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from airflow_provider_sync.cli.main import main as run

    return run()
