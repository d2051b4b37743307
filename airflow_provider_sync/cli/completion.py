"""``completion``: shell completion of commands, options and configured names, by argcomplete."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable

from airflow_provider_sync.cli.config_places import find_config
from airflow_provider_sync.exceptions import ConfigurationError


def main(options: Namespace) -> int:
    """Print the code that turns on completion in a shell."""
    # Imported here, because only completion needs it.
    from argcomplete.shell_integration import shellcode

    program = options.program.partition(" ")[0]
    sys.stdout.write(shellcode([program], shell=options.shell))
    return 0


def complete(parser: argparse.ArgumentParser) -> None:
    """Print completions and end the process, if the shell has called the program for them."""
    import argcomplete

    argcomplete.autocomplete(parser)


def _names_under(group: str) -> Callable[..., Iterable[str]]:
    def names(*, parsed_args: Namespace, **_: object) -> Iterable[str]:
        """Return the configured names; none if the configuration cannot be read, since completion shows no errors."""
        # Imported here: completing commands and options, which is more frequent, does not need it.
        from airflow_provider_sync.config.yaml_file import load_yaml, read_text

        try:
            path = parsed_args.config or find_config(["client"])
            # Read without validation: variables may be unset, and options wrong.
            entries = load_yaml(read_text(path), path).get(group) if path else None
        except ConfigurationError:
            return []
        return [str(name) for name in entries] if isinstance(entries, dict | list) else []

    return names


COMPLETERS = {"table": _names_under("tables"), "directory": _names_under("directories")}
