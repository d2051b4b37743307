"""``on_guard="ask"``: a person decides whether a sync may delete more than its limits allow."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from airflow.api_fastapi.execution_api.datamodels.hitl import HITLDetailRequest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.operators.file_steps import FileDeleteOperator
from airflow_provider_sync.operators.file_sync import FileSyncOperator
from airflow_provider_sync.operators.sync_operator import SyncOperator
from airflow_provider_sync.operators.table_steps import TableCompareOperator, TableDownloadOperator, TableMergeOperator
from airflow_provider_sync.operators.table_sync import TableSyncOperator
from tests.airflow_stack import AirflowStack
from tests.server.wire import run_sqlite
from tests.source_server import ROWS, TOKEN, Source, Target, create_table

GO_ON = {"chosen_options": ["Go on"], "responded_by_user": {"id": "1", "name": "ann"}}
END = {**GO_ON, "chosen_options": ["End"]}


class Asked:
    """A task that has asked a question and waits.

    :param shown: the text that Airflow has of an earlier try
    :ivar question: what a person sees
    """

    def __init__(self, operator: SyncOperator, monkeypatch: pytest.MonkeyPatch, *, shown: str | None = None) -> None:
        instance = {"dag_id": "d", "run_id": "r", "task_id": operator.task_id, "map_index": -1, "try_number": 1}
        self.operator = operator
        self.context: Any = {"ti": SimpleNamespace(id=uuid4(), **instance)}
        self.question: dict[str, Any] = {}
        self.shown = shown
        # Only a whole Airflow has a supervisor of tasks, which passes the question on and answers with what people see.
        monkeypatch.setattr("airflow.sdk.execution_time.task_runner.SUPERVISOR_COMMS", self, raising=False)
        with pytest.raises(BaseException) as caught:  # noqa: PT011  # its type is checked below
            operator.execute(self.context)
        if isinstance(caught.value, AirflowFailException):
            raise caught.value
        assert type(caught.value).__name__ in ("TaskAwaitingInput", "TaskDeferred"), caught.value
        signal: Any = caught.value
        self.method, self.kwargs = signal.method_name, signal.kwargs

    def send(self, msg: Any) -> Any:
        """Take a question in the place of Airflow's API server, if that would."""
        HITLDetailRequest.model_validate_json(msg.model_dump_json())
        self.question = msg.model_dump()
        return SimpleNamespace(body=self.shown or msg.body)

    def answer(self, event: dict[str, Any]) -> dict[str, str]:
        """Go on with an answer, and return how each table or directory ended."""
        reports = getattr(self.operator, self.method)(self.context, event=event, **self.kwargs)
        return {report["name"]: report["status"] for report in reports}


def tables(**arguments: Any) -> TableSyncOperator:
    """Make an operator that may delete nothing without a question."""
    names = ["orders", "customers", "countries"]
    return TableSyncOperator(
        task_id="sync",
        **{"tables": names, "target_conn_id": "target", "max_deletes": 0, "on_guard": "ask", **arguments},
    )


@pytest.fixture
def synced(source: Source, target: Target) -> Source:
    """Give a source of which some rows are gone since the last sync, of one table all."""
    tables(on_guard="fail").execute({})
    source.execute("DELETE FROM orders WHERE id = 1")
    source.execute("DELETE FROM customers")
    source.execute("UPDATE countries SET name = 'Austria'")
    return source


def test_go_on(synced: Source, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """One question covers all deletes, with numbers and keys; nothing is written before the answer yes."""
    asked = Asked(tables(), monkeypatch)
    assert (asked.question["options"], asked.question["subject"]) == (["Go on", "End"], "Delete from orders, customers?")
    text = asked.question["body"]
    assert "- table `orders`: 1 of 3 rows would be deleted; the source has 2.\n  Among them: `1`\n" in text
    assert "- table `customers`: 1 of 1 rows would be deleted; the source has 0." in text
    assert {name: target.rows(name) for name in ROWS} == ROWS
    assert asked.answer(GO_ON) == {"orders": "changed", "customers": "changed", "countries": "changed"}
    assert (target.rows("orders"), target.rows("customers")) == (ROWS["orders"][1:], [])


def test_end(synced: Source, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer no, or no answer, fails the task permanently, with the name of the person; nothing is written."""
    asked = Asked(tables(), monkeypatch)
    with pytest.raises(AirflowFailException, match=r"'orders', 'customers' would delete more than .* ann has ended it"):
        asked.answer(END)
    with pytest.raises(AirflowFailException, match="nobody has allowed it: too late"):
        asked.answer({"error": "too late", "error_type": "timeout"})
    assert {name: target.rows(name) for name in ROWS} == ROWS


def test_more_than_was_allowed(synced: Source, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer allows the shown number; if more would be deleted by then, the task fails, and nothing is written."""
    asked = Asked(tables(), monkeypatch)
    synced.execute("DELETE FROM orders WHERE id = 2")
    with pytest.raises(AirflowFailException, match="would delete 2 of 3 rows; max_deletes is 1"):
        asked.answer(GO_ON)
    assert {name: target.rows(name) for name in ROWS} == ROWS


def test_more_of_an_empty_source_than_was_allowed(synced: Source, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer about an empty source allows only the shown number, too, not all later rows of the target."""
    asked = Asked(tables(), monkeypatch)
    target.execute("INSERT INTO customers VALUES (2, 'Bob', NULL)")
    with pytest.raises(AirflowFailException, match="'customers' would delete 2 of 2 rows; max_deletes is 1"):
        asked.answer(GO_ON)
    assert target.rows("customers") == [(1, "Ann", "0.00"), (2, "Bob", None)]


def test_a_question_of_an_earlier_try(synced: Source, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cleared task asks nothing if Airflow would show earlier numbers, unless they are still the same."""
    first = Asked(tables(), monkeypatch).question["body"]
    assert Asked(tables(), monkeypatch, shown=first).answer(GO_ON)["customers"] == "changed"
    target.execute("INSERT INTO customers VALUES (1, 'Ann', NULL), (2, 'Bob', NULL)")
    with pytest.raises(AirflowFailException, match=r"still shows the question of an earlier try .*trigger the DAG anew"):
        Asked(tables(), monkeypatch, shown=first)
    assert len(target.rows("customers")) == 2


def test_what_was_synced_before_the_question(synced: Source, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables with their own transactions are synced without waiting, and still count as changed at the end."""
    asked = Asked(tables(tables="*", single_transaction=False), monkeypatch)
    assert target.rows("countries") == [(1, "Austria", None)]
    assert (target.rows("orders"), target.rows("customers")) == (ROWS["orders"], ROWS["customers"])
    assert asked.answer(GO_ON) == {"orders": "changed", "customers": "changed", "countries": "changed"}


def test_tables_that_are_gone(source: Source, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drops beyond `max_drops` are asked about by table name, and done after the answer yes."""
    kept = target.tables()
    target.execute("CREATE TABLE old_1 (id INTEGER PRIMARY KEY)")
    target.execute("CREATE TABLE old_2 (id INTEGER PRIMARY KEY)")
    asked = Asked(tables(tables="*", drop_missing="['old_*']"), monkeypatch)
    text = asked.question["body"]
    assert "- tables `*`: 2 of 5 tables would be deleted; the source has 3.\n  Among them: `old_1`, `old_2`" in text
    assert target.tables() == sorted([*kept, "old_1", "old_2"])
    assert asked.answer(GO_ON)["old_1"] == "changed"
    assert target.tables() == kept


def merge_of(**arguments: Any) -> TableMergeOperator:
    """Compare and download, and make the operator of the merge."""
    steps = {"tables": ["orders", "customers", "countries"], "target_conn_id": "target", "max_deletes": 0, **arguments}
    planned = TableCompareOperator(task_id="compare", on_guard="ask", **steps).execute({})
    staged = TableDownloadOperator(task_id="download", table_slice=planned, on_guard="ask", **steps).execute({})
    return TableMergeOperator(task_id="merge", slices=staged, on_guard="ask", **steps)


@pytest.mark.parametrize("single_transaction", [True, False])
def test_the_merge_of_steps(synced: Source, target: Target, monkeypatch: pytest.MonkeyPatch, single_transaction: bool) -> None:
    """The merge of a group asks about all staged rows, merges them after the answer yes, and leaves no staging table."""
    before = target.tables()
    asked = Asked(merge_of(single_transaction=single_transaction), monkeypatch)
    text = asked.question["body"]
    assert "- table `orders`: 1 of 3 rows would be deleted; the source has 2.\n  Among them: `1`\n" in text
    assert "- table `customers`: 1 of 1 rows would be deleted; the source has 0." in text
    assert (target.rows("orders"), target.rows("customers")) == (ROWS["orders"], ROWS["customers"])
    assert (target.rows("countries") == ROWS["countries"]) == single_transaction
    assert asked.answer(GO_ON) == {"orders": "changed", "customers": "changed", "countries": "changed"}
    assert (target.rows("orders"), target.rows("customers")) == (ROWS["orders"][1:], [])
    assert target.tables() == before


def test_the_merge_of_steps_ends(synced: Source, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the answer no, the merge of a group has written nothing."""
    asked = Asked(merge_of(), monkeypatch)
    with pytest.raises(AirflowFailException, match="ann has ended it"):
        asked.answer(END)
    assert {name: target.rows(name) for name in ROWS} == ROWS


def test_directories(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question about files shows their paths."""
    arguments: dict[str, Any] = {"directories": "images", "path": str(tmp_path / "copy"), "max_deletes": 0}
    operator = FileSyncOperator(task_id="files", on_guard="ask", **arguments)
    operator.execute({})
    (source.folder / "images" / "one.txt").unlink()
    asked = Asked(operator, monkeypatch)
    assert (
        "- directory `images`: 1 of 2 files would be deleted; the source has 1.\n  Among them: `one.txt`"
        in asked.question["body"]
    )
    assert (tmp_path / "copy" / "one.txt").exists()
    assert asked.answer(GO_ON) == {"images": "changed"}
    assert not (tmp_path / "copy" / "one.txt").exists()


def test_when_nobody_is_asked(synced: Source, target: Target) -> None:
    """By default, in a dry run, outside of a run of Airflow, and for other failures, the task fails without a question."""
    for arguments in ({"on_guard": "fail"}, {"dry_run": True}, {}):
        context: Any = {"ti": None} if arguments else {}
        with pytest.raises(AirflowFailException, match="max_deletes is 0"):
            tables(tables="orders", **arguments).execute(context)
    with pytest.raises(AirflowFailException, match=r"'on_guard' is 'perhaps'\. Give 'fail' or 'ask'"):
        tables(on_guard="perhaps").execute({})
    with pytest.raises(ConfigurationError, match="'on_guard' can ask in whole syncs"):
        FileDeleteOperator(task_id="delete", directories="images", path="/tmp", batches=[], on_guard="ask")
    synced.execute("INSERT INTO orders VALUES (1, 'Ärger', '1.10')")
    with pytest.raises(AirflowSkipException):
        tables(tables="orders", skip_unchanged=True).execute({})
    assert {name: target.rows(name) for name in ROWS} == ROWS


DAG_FILE = """
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_sync.operators.table_sync import TableSyncOperator

with DAG("asks", schedule=None) as dag:
    TableSyncOperator(task_id="sync", tables="orders", target_conn_id="copy", max_deletes=0, on_guard="ask")
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("choice", "ended", "left"), [("Go on", "success", 3), ("End", "failed", 1)])
def test_in_airflow(source: Source, tmp_path: Path, airflow_stack: AirflowStack, choice: str, ended: str, left: int) -> None:
    """In Airflow the task waits for its required action, and ends by the answer."""
    run_sqlite(tmp_path / "copy.db", f"{create_table('orders')}; INSERT INTO orders VALUES (9, 'x', NULL)")
    airflow_stack.set_connection("sync_default", conn_type="sync", host=source.url, password=TOKEN)
    airflow_stack.set_connection("copy", conn_type="sqlite", host=str(tmp_path / "copy.db"))
    airflow_stack.add_dags("asks.py", DAG_FILE, "asks")
    run = airflow_stack.trigger("asks")
    path = f"/dags/asks/dagRuns/{run}/taskInstances/sync/-1/hitlDetails"

    def waiting() -> bool:
        # An answer before the scheduler has heard that the task pauses fails it (Airflow 3.3); people are slower.
        key = f"TaskInstanceKey(dag_id='asks', task_id='sync', run_id={run!r}"
        heard = f"Received executor event with state success for task instance {key}"
        paused = airflow_stack.task_states("asks", run).get("sync") in ("awaiting_input", "deferred")
        return paused and heard in (airflow_stack.home / "scheduler.log").read_text()

    airflow_stack.wait_until(waiting, "the task waits", seconds=200)
    assert "1 of 1 rows would be deleted" in airflow_stack.api("GET", path)["body"]
    airflow_stack.api("PATCH", path, {"chosen_options": [choice], "params_input": {}})
    assert airflow_stack.wait_for_run("asks", run) == ended
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (left,)
