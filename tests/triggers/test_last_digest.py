"""Where the last digest is kept, inside a real task: the same ways lead there from the triggerer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, Asset, BaseOperator, Context

from airflow_provider_sync.triggers.last_digest import LastDigest
from tests.airflow_runs import run_dag, task_states


class Keeps(BaseOperator):
    """Writes a digest where the first try left none, and fails unless each try finds what the last one left."""

    def __init__(self, *, key: str, expected: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.key = key
        self.expected = expected

    def execute(self, context: Context) -> None:
        """Read, compare, write."""
        store = context.get("asset_state_store")

        async def keep() -> str | None:
            last = LastDigest(self.key, store)
            found = await last.read()
            await last.write("second" if found else "first")
            return found

        found = asyncio.run(keep())
        if found != self.expected:
            raise ValueError(f"{found!r} instead of {self.expected!r}")


@pytest.mark.parametrize("assets", [0, 1, 2])
def test_what_was_kept_is_found(assets: int) -> None:
    """A later reader finds a digest: with the state store of one asset, of none, and of several."""
    names = [f"kept_{assets}_{number}" for number in range(assets)]
    inlets = [Asset(name=name, uri=f"sync://source.example/tables/{name}") for name in names]
    with DAG(f"keeps_{assets}", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        first = Keeps(task_id="first", key=f"digest_{assets}", expected=None, inlets=inlets)
        first >> Keeps(task_id="second", key=f"digest_{assets}", expected="first", inlets=inlets)
    assert task_states(run_dag(dag)) == {"first": "success", "second": "success"}
