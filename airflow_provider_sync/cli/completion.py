"""``completion``: what a shell needs to complete commands, options, and names out of the configuration, by argcomplete."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable

from airflow_provider_sync.cli.config_places import find_config
from airflow_provider_sync.exceptions import ConfigurationError


def main(options: Namespace) -> int:
    """Print the code that a shell has to run."""
    # Nothing else needs it.
    from argcomplete.shell_integration import shellcode

    program = options.program.partition(" ")[0]
    sys.stdout.write(shellcode([program], shell=options.shell))
    return 0


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell, which has called the program instead of the user, and end the process."""
    import argcomplete

    argcomplete.autocomplete(parser)


def _names_under(group: str) -> Callable[..., Iterable[str]]:
    def names(*, parsed_args: Namespace, **_: object) -> Iterable[str]:
        """Return the names in the configuration; none where it cannot be read, since nobody reads errors in between."""
        # Not for the names of commands and options, which a shell asks for more often.
        from airflow_provider_sync.config.yaml_file import load_yaml, read_text

        try:
            path = parsed_args.config or find_config(["client"])
            # As it is written: variables need not be set, nor all options be right.
            entries = load_yaml(read_text(path), path).get(group) if path else None
        except ConfigurationError:
            return []
        return [str(name) for name in entries] if isinstance(entries, dict | list) else []

    return names


COMPLETERS = {"table": _names_under("tables"), "directory": _names_under("directories")}
