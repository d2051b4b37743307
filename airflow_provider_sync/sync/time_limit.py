"""The time that a sync of one table, or of one directory, may take; what is asked within it ends with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetDirectory, TargetTable

Options = TypeVar("Options", TargetTable, TargetDirectory)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def within_max_seconds(
    step: Callable[Concatenate[SyncClient, Options, Arguments], Result],
) -> Callable[Concatenate[SyncClient, Options, Arguments], Result]:
    """Have what a step asks end when it takes longer than its table's or directory's ``max_seconds``."""

    @wraps(step)
    def limited(client: SyncClient, options: Options, /, *arguments: Arguments.args, **keywords: Arguments.kwargs) -> Result:
        with client.within(options.max_seconds):
            return step(client, options, *arguments, **keywords)

    return limited
