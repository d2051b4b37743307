"""The option ``consistent``: one snapshot of the source for all tables of a run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig, TargetTable
from airflow_provider_sync.exceptions import ConfigurationError


def consistent_snapshot(client: SyncClient, config: ClientConfig, tables: Sequence[TargetTable]) -> AbstractContextManager[None]:
    """Read all tables in the block from one snapshot of the source, if the option ``consistent`` is set.

    :raises ConfigurationError: if the server cannot hold a snapshot
    """
    if not config.consistent or not tables:
        return nullcontext()
    return client.holding_snapshot([table.name for table in tables])


def refuse_steps(config: ClientConfig) -> None:
    """Refuse the option ``consistent`` for a sync in steps.

    :raises ConfigurationError: if it is set
    """
    if config.consistent:
        raise ConfigurationError(
            "consistent: the steps of a sync are tasks of their own, and each of them asks the server at another time, so that"
            " nothing can hold a snapshot for all of them. Take TableSyncOperator, or leave consistent out."
        )
