"""``serve``: run the server."""

from __future__ import annotations

import logging
import sys
from argparse import Namespace
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TextIO

from airflow_provider_sync.cli.connections import open_database, open_directory
from airflow_provider_sync.cli.log_options import log_settings
from airflow_provider_sync.cli.terminal.standard_streams import give_up
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.config.exposed_secrets import exposed_secrets
from airflow_provider_sync.logs.configuration import configure_logs
from airflow_provider_sync.server.process.serving import serve

log = logging.getLogger(__name__)


def main(options: Namespace) -> int:
    """Serve until a signal stops the process; the only line on standard output is the URL."""
    read = partial(_read, options.config, options.workers)
    config = read()
    configure_logs(log_settings(options, config.log))
    if exposed := exposed_secrets(options.config):
        log.warning(exposed)
    print_url = partial(_print_url, None if options.quiet else sys.stdout)
    # Airflow logs to standard output if one of its connections is named.
    with redirect_stdout(sys.stderr):
        serve(
            config,
            host=options.host,
            port=options.port,
            on_ready=print_url,
            open_engine=open_database,
            open_storage=open_directory,
            reread=read,
            watch=Path(options.config) if options.watch else None,
        )
    return 0


def _read(path: str, workers: int | None) -> ServerConfig:
    config = ServerConfig.from_yaml(path)
    return config if workers is None else config.model_copy(update={"workers": workers})


def _print_url(stream: TextIO | None, url: str) -> None:
    if stream is None:
        return
    try:
        print("Serving at", url, file=stream, flush=True)
    except OSError as error:
        # The server starts nevertheless.
        give_up(stream)
        log.warning("Serving at %s, which cannot be written to standard output: %s", url, error.strerror)
