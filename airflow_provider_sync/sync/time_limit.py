"""Time limits for the sync of one table or directory: for its lock, and for its requests."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetDirectory, TargetTable

LOCK_TIMEOUT = 60.0
"""Maximum time, in seconds, to wait for another sync of the same table or directory."""

Options = TypeVar("Options", TargetTable, TargetDirectory)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def within_max_seconds(
    step: Callable[Concatenate[SyncClient, Options, Arguments], Result],
) -> Callable[Concatenate[SyncClient, Options, Arguments], Result]:
    """Cancel the requests of a step once it takes longer than the ``max_seconds`` of its table or directory."""

    @wraps(step)
    def limited(client: SyncClient, options: Options, /, *arguments: Arguments.args, **keywords: Arguments.kwargs) -> Result:
        with client.within(options.max_seconds):
            return step(client, options, *arguments, **keywords)

    return limited
