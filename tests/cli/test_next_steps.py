"""The next step after an error."""

from __future__ import annotations

import inspect
import re
import shlex

import pytest

from airflow_provider_sync import exceptions
from airflow_provider_sync.cli.next_steps import Call, next_step
from airflow_provider_sync.cli.parser import build_parser
from airflow_provider_sync.exceptions import (
    ConfigurationError,
    GuardError,
    MissingTableError,
    RefusedDeletes,
    ServerError,
    SyncError,
    SyncFailed,
    TransportError,
    UnexpectedError,
)

RUN = Call("airflow-sync", "run", "client", "/etc/my sync/client.yaml", named=True)
ERRORS = [kind for kind in vars(exceptions).values() if inspect.isclass(kind) and issubclass(kind, SyncError)]
WITHOUT = {SyncError, SyncFailed, UnexpectedError}
"""Classes whose message says all that there is to do, or that stand for others."""


@pytest.mark.parametrize("kind", [kind for kind in ERRORS if kind not in WITHOUT], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("call", [RUN, Call("airflow-sync", "pull")], ids=["run", "pull"])
def test_every_class_has_one(kind: type[SyncError], call: Call) -> None:
    """After an error of any class there is a step, and a command in it can be called as it stands."""
    step = next_step(kind("What happened."), call)
    assert step is not None
    for command in re.findall(r"airflow-sync .*", step):
        arguments = shlex.split(command)[1:]
        if "--help" not in arguments:
            build_parser().parse_args(arguments)


def too_many_deletes() -> GuardError:
    """Return the error of a guard that refused to delete rows."""
    error = GuardError("Too many.")
    error.refused = (RefusedDeletes("table", "orders", deletes=9, present=10, offered=1),)
    return error


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (ConfigurationError("Wrong."), "airflow-sync check --config '/etc/my sync/client.yaml'"),
        (TransportError("No answer."), "airflow-sync check --config '/etc/my sync/client.yaml' --connect"),
        (ServerError("No.", 401), "compare the client's token with those of the server's configuration"),
        (ServerError("No.", 404), "compare the URL with the one that the server prints when it starts"),
        (ServerError("Unknown.", 422), "airflow-sync list --config '/etc/my sync/client.yaml'"),
        (ServerError("Busy.", 503), "wait a moment and run the same command again"),
        (ServerError("Broken.", 500), "look into the server's log"),
        (GuardError("Too large."), "look at the source; if it is right, raise the limit and run the same command again"),
        (too_many_deletes(), "look at what would be deleted: airflow-sync diff --config '/etc/my sync/client.yaml'"),
        (RuntimeError("A bug."), None),
    ],
)
def test_it_fits_the_error(error: Exception, step: str | None) -> None:
    """The step depends on the class of the error and the status of the server, and repeats the configuration that was named."""
    assert next_step(error, RUN) == step


def test_the_first_failure_decides() -> None:
    """Where several failed, the step is that of the first one that has any."""
    failed = SyncFailed.of([UnexpectedError("A bug."), MissingTableError("None."), GuardError("Too many.")], [])
    assert next_step(failed, RUN) == "set create_table: true, or create the table, and run the same command again"
    assert next_step(SyncFailed("Failed.", [], False), RUN) is None


def test_a_configuration_that_was_found_need_not_be_named() -> None:
    """In a folder with a ``client.yaml`` the next command needs no argument either; inside Airflow it is Airflow's."""
    assert (
        next_step(TransportError("No answer."), Call("airflow sync", "run", "client", "client.yaml"))
        == "airflow sync check --connect"
    )
