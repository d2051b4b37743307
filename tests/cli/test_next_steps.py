"""The next step after an error."""

from __future__ import annotations

import inspect
import shlex

import pytest

from airflow_provider_sync import exceptions
from airflow_provider_sync.cli.next_steps import Call, next_step
from airflow_provider_sync.cli.parser import build_parser
from airflow_provider_sync.config.mistakes import Mistake, refusal
from airflow_provider_sync.exceptions import (
    ConfigurationError,
    DuplicateKeyError,
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


@pytest.mark.parametrize("kind", [kind for kind in ERRORS if kind is not SyncFailed], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("call", [RUN, Call("airflow-sync", "run", "client"), Call("airflow-sync", "pull")], ids=str)
def test_every_step_can_be_called(kind: type[SyncError], call: Call) -> None:
    """After an error of any class, the next step is a valid command, or there is none."""
    step = next_step(kind("What happened."), call)
    if step is not None:
        program, *arguments = shlex.split(step)
        assert program == "airflow-sync"
        build_parser().parse_args(arguments)


def too_many_deletes() -> GuardError:
    """Return the error of a guard that refused to delete rows."""
    error = GuardError("Too many.")
    error.refused = (RefusedDeletes("table", "orders", deletes=9, present=10, offered=1),)
    return error


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (ConfigurationError("Wrong."), None),
        (refusal([Mistake((), "Line 3 is no YAML.", 3)]), None),
        (refusal([Mistake(("url",), "Wrong.")]), "airflow-sync check --config '/etc/my sync/client.yaml'"),
        (TransportError("No answer."), "airflow-sync check --config '/etc/my sync/client.yaml' --connect"),
        (ServerError("No.", 401), None),
        (ServerError("Unknown.", 422), "airflow-sync list --config '/etc/my sync/client.yaml'"),
        (ServerError("Busy.", 503), None),
        (GuardError("Too large."), None),
        (too_many_deletes(), "airflow-sync diff --config '/etc/my sync/client.yaml'"),
        (DuplicateKeyError("Twice."), "airflow-sync doctor --config '/etc/my sync/client.yaml'"),
        (MissingTableError("None. Create it."), None),
        (RuntimeError("A bug."), None),
    ],
)
def test_it_fits_the_error(error: Exception, step: str | None) -> None:
    """The step depends on the class of the error and the status of the server, and repeats the configuration that was named."""
    assert next_step(error, RUN) == step


def test_the_first_failure_decides() -> None:
    """After several failures, the step is that of the first one that has a step."""
    failed = SyncFailed.of([UnexpectedError("A bug."), MissingTableError("None."), too_many_deletes()], [])
    assert next_step(failed, RUN) == "airflow-sync diff --config '/etc/my sync/client.yaml'"
    assert next_step(SyncFailed("Failed.", [], False), RUN) is None


@pytest.mark.parametrize(("kind", "made_from"), [("client", "--client SERVER_URL"), ("server", "--from DATABASE_URL")])
def test_without_a_configuration(kind: str, made_from: str) -> None:
    """Without a configuration, the step creates one; commands that need none have no step."""
    assert next_step(ConfigurationError("None."), Call("airflow-sync", "run", kind)) == f"airflow-sync init {made_from}"
    assert next_step(ConfigurationError("In the past."), Call("airflow-sync", "token")) is None


def test_a_configuration_that_was_found_need_not_be_named() -> None:
    """In a folder with a ``client.yaml``, the next command needs no argument; inside Airflow, it is Airflow's command."""
    assert (
        next_step(TransportError("No answer."), Call("airflow sync", "run", "client", "client.yaml"))
        == "airflow sync check --connect"
    )
