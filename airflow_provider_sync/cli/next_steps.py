"""What to do after an error, by its class: a command to run, or a few words. Messages say what happened."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from airflow_provider_sync.exceptions import (
    ConfigurationError,
    ConnectionLimitError,
    DuplicateKeyError,
    FileError,
    GuardError,
    IncompleteStreamError,
    MissingTableError,
    ProtocolError,
    ReferencedRowsError,
    ServerError,
    StaleCopyError,
    SyncFailed,
    TableBusyError,
    TableError,
    TransportError,
)

_AGAIN = "run the same command again"


@dataclass(frozen=True, slots=True)
class Call:
    """The call of a command that failed.

    :ivar program: ``airflow-sync`` or ``airflow sync``
    :ivar command: its name
    :ivar kind: of the configuration that it reads, ``server`` or ``client``; empty if it reads none, or either
    :ivar config: the configuration that it used; empty if it uses none, or there is none
    :ivar named: whether the arguments named the configuration
    """

    program: str
    command: str
    kind: str = ""
    config: str = ""
    named: bool = False

    def other(self, command: str, *arguments: str) -> str:
        """Write the call of another command with the same configuration, as a shell takes it."""
        config = ("--config", self.config) if self.named and self.config else ()
        return " ".join([self.program, command, shlex.join([*config, *arguments])]).rstrip()


def next_step(error: Exception, call: Call) -> str | None:
    """Return what to do after an error of a command; ``None`` if its message says all there is to do.

    The first line below that fits decides, so that a class stands before its parent.
    """
    if isinstance(error, SyncFailed):
        # The first that has one: other steps show when this one is done.
        steps = (next_step(failure, call) for failure in error.failures if failure is not error)
        return next(filter(None, steps), None)
    match error:
        case ConfigurationError():
            return _after_wrong_configuration(call)
        case ConnectionLimitError() | IncompleteStreamError() | TableBusyError():
            return _AGAIN
        case TransportError():
            return _check_connections(call)
        case ServerError(status=401 | 403):
            return "compare the client's token with those of the server's configuration"
        case ServerError(status=429 | 503):
            return f"wait a moment and {_AGAIN}"
        case ServerError(status=422):
            return call.other("list") if call.config else "ask for the names that the server offers"
        case ServerError(status=status) if status >= 500:
            return "look into the server's log"
        case ServerError() | ProtocolError():
            return "compare the URL with the one that the server prints when it starts"
        case MissingTableError():
            return f"set create_table: true, or create the table, and {_AGAIN}"
        case StaleCopyError():
            return call.other("run") if call.config else _AGAIN
        case GuardError() if error.refused:
            return f"look at what would be deleted: {call.other('diff')}" if call.config else "look at the source"
        case GuardError():
            return f"look at the source; if it is right, raise the limit and {_AGAIN}"
        case DuplicateKeyError():
            return call.other("doctor")
        case ReferencedRowsError():
            return f"sync the tables that refer to each other in one run: {call.other('run')}"
        case TableError():
            return _check_connections(call)
        case FileError():
            return f"see to the files that are named, and {_AGAIN}"
        case _:
            # A fault of this program: the message says how to report it.
            return None


def _check_connections(call: Call) -> str:
    return call.other("check", "--connect") if call.config else f"see that the server runs, and {_AGAIN}"


def _after_wrong_configuration(call: Call) -> str:
    if not call.kind:
        return f"{call.program} {call.command} --help"
    if call.config:
        return call.other("check")
    return f"{call.program} init {'--from DATABASE_URL' if call.kind == 'server' else '--client SERVER_URL'}"
