"""Suggest the command to call after an error, by the error's class. Its message says what happened and what to do."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from airflow_provider_sync.config.mistakes import WrongOptions
from airflow_provider_sync.exceptions import (
    ConfigurationError,
    ConnectionLimitError,
    DuplicateKeyError,
    GuardError,
    ServerError,
    SessionTimeoutError,
    StaleCopyError,
    SyncFailed,
    TransportError,
)


@dataclass(frozen=True, slots=True)
class Call:
    """The call of a command that failed.

    :ivar program: ``airflow-sync`` or ``airflow sync``
    :ivar command: its name
    :ivar kind: kind of configuration that it reads, ``server`` or ``client``; empty if it reads none, or either
    :ivar config: the configuration that it used; empty if it uses none, or there is none
    :ivar named: whether the arguments named the configuration
    """

    program: str
    command: str
    kind: str = ""
    config: str = ""
    named: bool = False

    def other(self, command: str, *arguments: str) -> str:
        """Return the shell command that calls another command with the same configuration."""
        config = ("--config", self.config) if self.named and self.config else ()
        return " ".join([self.program, command, shlex.join([*config, *arguments])]).rstrip()


def next_step(error: Exception, call: Call) -> str | None:
    """Return the command that explains an error or does what it asks for; ``None`` if there is none.

    The first case below that matches decides, so a class must come before its parent.
    """
    if isinstance(error, SyncFailed):
        # The first failure that has a next step: the others show up after it.
        steps = (next_step(failure, call) for failure in error.failures if failure is not error)
        return next(filter(None, steps), None)
    if not call.config:
        return _new_configuration(call) if isinstance(error, ConfigurationError) and call.kind else None
    match error:
        case WrongOptions(mistakes=mistakes) if any(mistake.line is None for mistake in mistakes):
            # It says in which line each mistake is. A folder may hold the other kind of configuration as well.
            return f"{call.program} check --config {shlex.quote(call.config)}"
        case ConnectionLimitError() | SessionTimeoutError():
            return None
        case TransportError():
            return call.other("check", "--connect")
        case ServerError(status=422):
            return call.other("list")
        case StaleCopyError():
            return call.other("run")
        case GuardError() if error.refused:
            return call.other("diff")
        case DuplicateKeyError():
            return call.other("doctor")
        case _:
            return None


def _new_configuration(call: Call) -> str:
    return f"{call.program} init {'--from DATABASE_URL' if call.kind == 'server' else '--client SERVER_URL'}"
