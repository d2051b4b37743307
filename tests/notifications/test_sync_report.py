"""``SyncReportNotifier``, at a webhook that listens on a socket."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, BaseNotifier

from airflow_provider_sync.exceptions import TransportError
from airflow_provider_sync.history import Origin, open_history
from airflow_provider_sync.notifications.sync_report import SyncReportNotifier
from airflow_provider_sync.operators.sync_check import SyncCheckOperator
from airflow_provider_sync.operators.table_sync import TableSyncOperator
from airflow_provider_sync.report import TableReport
from tests.airflow_runs import AIRFLOW_VERSION, run_dag, task_states
from tests.notifications.webhook import SECRET, Webhook
from tests.source_server import Source, Target

STARTED = datetime(2026, 11, 29, 12, tzinfo=UTC)
RUN = {"dag_id": "shop", "dag_run_id": "manual__1", "start_date": STARTED.isoformat()}


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """Give a webhook under the connection ``chat``."""
    with Webhook() as server:
        monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps(server.connection))
        yield server


@pytest.fixture
def history_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the place of the history."""
    url = f"sqlite:///{tmp_path / 'history.db'}"
    monkeypatch.setenv("AIRFLOW__SYNC__HISTORY", url)
    return url


def after(*reports: TableReport) -> Any:
    """Return the context of a callback after a task with these reports."""
    return {"task": SimpleNamespace(dag_id="shop", task_id="tables", reports=reports)}


def test_callbacks(source: Source, target: Target, webhook: Webhook, history_url: str) -> None:
    """After a sync, a failed sync, and a check with differences, the webhook gets the report."""
    message = SyncReportNotifier(conn_id="chat")
    calls: Any = {"on_success_callback": message, "on_failure_callback": message}
    with DAG("messages", schedule=None) as dag:
        check = SyncCheckOperator(task_id="check", tables="orders", target_conn_id="target", **calls)
        options = {"target_conn_id": "target", "single_transaction": False, "trigger_rule": "all_done"}
        sync = TableSyncOperator(task_id="sync", tables=["orders", "prices"], **options, **calls)
        check >> sync
    assert task_states(run_dag(dag)) == {"check": "failed", "sync": "failed"}
    checked, synced = webhook.texts
    # In the test's process, Airflow 3.1 does not tell callbacks of the error; its task runner does.
    if AIRFLOW_VERSION >= (3, 2):
        assert checked == "messages/check: Table 'orders' differs from the source (rows: 3 to insert)."
    assert synced.startswith("messages/sync: 1 failed, 1 changed\n\n")
    assert "orders  changed" in synced
    assert "prices: failed: The server does not offer a table 'prices'" in synced


def test_names_are_data(webhook: Webhook) -> None:
    """A name or an error of another system mentions no user and hides no link; the template's own text is unchanged."""
    report = TableReport(name="<!channel>", status="failed", error="<https://evil.example|Click> & see")
    text = "<!here> {{ sync.summary }} {{ sync.table }} {{ sync.reports[0].error }} {{ sync.of_status('failed')[0] }}"
    seen: list[str] = []

    class Other(BaseNotifier):
        def notify(self, context: Any) -> None:
            seen.append(context["sync_text"])

    SyncReportNotifier(conn_id="chat", via=Other(), text=text)(after(report))
    (sent,) = webhook.texts
    assert seen == [sent]
    assert sent.startswith("<!here> ")
    assert "<" not in sent.removeprefix("<!here>")
    assert sent.endswith("&lt;https://evil.example|Click&gt; &amp; see &lt;!channel&gt;")


def test_names_are_data_in_markdown(webhook: Webhook) -> None:
    """In Mattermost's Markdown, too, a name or an error mentions no user, is no link, and does not end the code around it."""
    report = TableReport(name="@all", status="failed", error="(@here) [Click](https://evil.example) ``` of ops@example.com")
    SyncReportNotifier(conn_id="chat", text="@sre {{ sync.of_status('failed')[0] }} {{ sync.reports[0].error }}")(after(report))
    (sent,) = webhook.texts
    assert sent.startswith("@sre ")
    assert not re.search(r"\B@\w|\]\(|```", sent.removeprefix("@sre"))
    assert sent.endswith("of ops@example.com")
    assert "Click" in sent
    assert "https://evil.example" in sent


def test_a_run(webhook: Webhook, history_url: str) -> None:
    """The callback of a DAG reports everything that the run synced, and nothing of other runs."""
    for run_id, name in (("manual__0", "old"), ("manual__1", "orders"), ("manual__1", "customers")):
        origin = Origin(source="task", dag_id="shop", run_id=run_id, task_id=name)
        report = TableReport(name=name, status="changed", rows_inserted=3)
        open_history(history_url).record([report], origin, finished=STARTED + timedelta(minutes=5))
    run: Any = SimpleNamespace(dag_id="shop", run_id="manual__1", start_date=STARTED)
    # Airflow's DAG processor gives the instance of one of the run's tasks, which has not run in this process.
    context: Any = {**after(), "dag_run": run, "reason": "task_failure"}
    SyncReportNotifier(conn_id="chat")({**context, "ti": SimpleNamespace(task=context["task"])})
    (text,) = webhook.texts
    assert text.startswith("shop: 2 changed\n\nThe run of shop ended: task failure.\n\n")
    assert "orders" in text
    assert "old" not in text


def test_a_run_of_several_tasks(webhook: Webhook, history_url: str) -> None:
    """If several tasks synced, each name has its task before it; only the last try of a task counts."""
    history = open_history(history_url)
    done: Any = [("eu", 1, "failed"), ("eu", 2, "changed"), ("us", 1, "failed")]
    for task_id, number, status in done:
        origin = Origin(source="task", dag_id="shop", run_id="manual__1", task_id=task_id, map_index=-1, try_number=number)
        history.record([TableReport(name="orders", status=status, error=f"{task_id} {number}")], origin, finished=STARTED)
    context: Any = {"dag": DAG("shop", schedule=None), "run_id": "manual__1", "reason": "success"}
    tasks = "{% for report in sync.reports %} {{ report.task_id }}/{{ report.name }}{% endfor %}"
    SyncReportNotifier(conn_id="chat", text="{{ sync.summary }}" + tasks + "\n{{ sync.table }}")(context)
    (text,) = webhook.texts
    assert text.startswith("shop: 1 failed, 1 changed eu/orders us/orders\n")
    assert [line.partition(": orders")[0] for line in text.splitlines() if ": orders " in line] == ["eu", "us"]
    assert "us: orders: failed: us 1" in text
    assert "eu 1" not in text


def test_a_run_of_which_no_task_is_told(webhook: Webhook, history_url: str) -> None:
    """If Airflow gives only the DAG and the run id, they are enough to find the run's reports."""
    origin = Origin(source="task", dag_id="shop", run_id="manual__1", task_id="tables")
    open_history(history_url).record([TableReport(name="orders", status="changed")], origin, finished=STARTED)
    context: Any = {"dag": DAG("shop", schedule=None), "run_id": "manual__1", "reason": "success"}
    SyncReportNotifier(conn_id="chat", text="{{ sync.summary }}")(context)
    assert webhook.texts == ["shop: 1 changed"]


def test_a_deadline(webhook: Webhook, history_url: str) -> None:
    """Awaited by Airflow's triggerer for a missed deadline, the message says so, with the reports so far."""
    context: Any = {"dag_run": dict(RUN), "deadline": {"id": "1", "deadline_time": "2026-11-29 12:30:00+00:00"}}

    async def missed() -> None:
        await SyncReportNotifier(conn_id="chat", text="{{ sync.summary }}", context=context)

    asyncio.run(missed())
    assert webhook.texts == ["shop: Run manual__1 missed its deadline, 2026-11-29 12:30:00+00:00."]


def test_the_template(webhook: Webhook) -> None:
    """The text is a template with the reports and Airflow's context."""
    text = "{{ task.task_id }}: {{ sync.of_status('changed') | join(', ') }} +{{ sync.reports[0].rows_inserted }}"
    SyncReportNotifier(conn_id="{{ 'chat' }}", text=text)(after(TableReport(name="orders", status="changed", rows_inserted=3)))
    assert webhook.texts == ["tables: orders +3"]


def test_only_changes(webhook: Webhook) -> None:
    """With ``skip_unchanged``, an unchanged sync sends nothing; a changed or failed one does."""
    for status in ("unchanged", "changed", "failed"):
        message = SyncReportNotifier(conn_id="chat", text="{{ sync.summary }}", skip_unchanged=True)
        message(after(TableReport(name="orders", status=status)))  # type: ignore[arg-type]
    assert webhook.texts == ["shop/tables: 1 changed", "shop/tables: 1 failed"]


def test_through_another_notifier() -> None:
    """A notifier of another provider gets the report in its own templates."""
    sent = []

    class Mail(BaseNotifier):
        template_fields = ("subject", "body")

        def __init__(self) -> None:
            super().__init__()
            self.subject, self.body = "{{ sync.summary }}", "{{ sync_text }}"

        def notify(self, context: Any) -> None:
            sent.append((self.subject, self.body))

    SyncReportNotifier(via=Mail(), text="Hello")(after(TableReport(name="orders", status="changed")))
    assert sent == [("shop/tables: 1 changed", "Hello")]


def test_an_endless_answer(webhook: Webhook) -> None:
    """The body of a webhook's answer is not read, so it may be endless."""
    webhook.endless = True
    SyncReportNotifier(conn_id="chat", text="{{ sync.summary }}")(after(TableReport(name="orders", status="changed")))
    assert webhook.texts == ["shop/tables: 1 changed"]


def test_a_webhook_that_refuses(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a webhook that refuses or does not answer names the connection, without a secret."""
    report = TableReport(name="orders", status="changed")
    gone = f"http://127.0.0.1:{webhook.server_port}/other"
    for host, what in ((gone, "answered with status 404"), ("http://127.0.0.1:1", "does not answer")):
        monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps({"conn_type": "http", "host": host, "password": SECRET}))
        with pytest.raises(TransportError, match=f"The webhook of connection 'chat' {what}") as failure:
            SyncReportNotifier(conn_id="chat")(after(report))
        assert failure.value.__context__ is None or failure.value.__suppress_context__
        assert "secret" not in str(failure.value)
    assert webhook.texts == []
