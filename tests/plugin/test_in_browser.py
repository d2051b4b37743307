"""What people see of the provider in Airflow's user interface, in a real browser.

With ``SYNC_SCREENSHOTS`` set to a folder, the pictures of the documentation are saved there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.history import Origin, Work, open_history
from airflow_provider_sync.provider_info import get_provider_info
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.airflow_runs import AIRFLOW_VERSION
from tests.airflow_stack import AirflowStack
from tests.browser import HEIGHT, Browser
from tests.source_server import TOKEN, Source, Target

pytestmark = pytest.mark.slow

DAG = "shop_mirror"
FILE = f"""
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_sync.operators.file_sync import FileSyncOperator
from airflow_provider_sync.operators.table_sync import TableSyncOperator

with DAG("{DAG}", schedule=None):
    options = {{"sync_conn_id": "browser_source"}}
    TableSyncOperator(task_id="tables", tables=["orders", "customers"], target_conn_id="browser_target", **options)
    TableSyncOperator(task_id="prices", tables="prices", target_conn_id="browser_target", **options)
    FileSyncOperator(task_id="images", directories="images", path="{{folder}}", **options)
"""
ERROR = "prices"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give a browser."""
    with Browser() as browser:
        yield browser


def picture(name: str) -> Path | None:
    """Return where a picture of the documentation is to be saved, when it is."""
    folder = os.environ.get("SYNC_SCREENSHOTS")
    return Path(folder, name).resolve() if folder else None


@pytest.fixture(scope="module")
def run_id(airflow_stack: AirflowStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a DAG with two tables, a directory, and a table that the source does not offer; give the run."""
    tmp_path = tmp_path_factory.mktemp("shop")
    (tmp_path / "source").mkdir()
    source = Source(tmp_path / "source")
    with RunningServer(source.config) as server, pytest.MonkeyPatch.context() as patch:
        source.url = server.url
        Target(f"sqlite:///{tmp_path / 'target.db'}", patch)
        yield _run(airflow_stack, source, tmp_path)


def _run(airflow_stack: AirflowStack, source: Source, tmp_path: Path) -> str:
    airflow_stack.set_connection("browser_source", conn_type="sync", host=source.url, password=TOKEN)
    airflow_stack.set_connection("browser_target", conn_type="sqlite", host=str(tmp_path / "target.db"))
    airflow_stack.add_dags("shop_mirror.py", FILE.replace("{folder}", str(tmp_path / "images")), DAG)
    _earlier_runs(airflow_stack)
    run_id = airflow_stack.trigger(DAG)
    assert airflow_stack.wait_for_run(DAG, run_id) == "failed"
    assert airflow_stack.task_states(DAG, run_id) == {"tables": "success", "prices": "failed", "images": "success"}
    return run_id


def _earlier_runs(stack: AirflowStack) -> None:
    """Write what forty runs before this one might have done, for the charts."""
    history = open_history(f"sqlite:///{stack.home / 'sync-history.db'}")
    for number in range(40, 0, -1):
        changes = 2 + (37 * number) % 23 if number % 4 else 0
        report = TableReport(
            name="orders",
            status="changed" if changes else "unchanged",
            rows_total=28_000,
            rows_inserted=changes // 2,
            rows_updated=changes // 3,
            rows_deleted=changes // 7,
            bytes_received=800 + 90 * changes,
            bytes_sent=400 + 12 * changes,
            requests=4 if changes else 2,
            verified="digest",
            seconds=0.2,
        )
        origin = Origin(source="task", dag_id=DAG, run_id="earlier", task_id="tables", map_index=-1, try_number=1)
        history.record([report], origin, finished=datetime.now(UTC) - timedelta(hours=number))


def test_the_status_page(airflow_stack: AirflowStack, browser: Browser, run_id: str) -> None:
    """From the menu, inside Airflow's frame, the page shows syncs, charts, errors, and links back to tasks."""
    browser.open(airflow_stack.api_url)
    browser.click("//button[contains(., 'Browse')]")
    browser.click("//*[@role='menuitem'][contains(., 'Syncs')]")
    browser.enter_frame()
    # Others that share the stack may have synced orders, too.
    orders = f"//tr[contains(., '{DAG}/tables')]//a[normalize-space()='orders']"
    browser.find(orders)
    for text in ("customers", "images", f"{DAG}/tables", "failed", ERROR):
        assert text in browser.text
    browser.click(orders)
    browser.find("figure svg .bar")
    assert browser.find("table tbody .badge").text == "changed"
    browser.point_at("figure svg .run")
    assert re.fullmatch(r"\S+ \S+ UTC: 3 inserted, 0 updated, 0 deleted", browser.find("figure .pointed").text)
    browser.leave_frame()
    browser.screenshot(picture("status-of-a-table.png"))
    assert browser.complaints() == []

    browser.enter_frame()
    browser.click("//tbody/tr[1]//a[normalize-space()='tables']")
    browser.leave_frame()
    browser.wait(lambda: f"/dags/{DAG}/runs/" in browser.address, "back in Airflow's own pages")
    assert browser.address.startswith(f"{airflow_stack.api_url}/dags/{DAG}/runs/{run_id.partition('+')[0][:20]}")


def test_choosing(airflow_stack: AirflowStack, browser: Browser, run_id: str) -> None:
    """A state can be selected by keyboard, a heading sorts, and the page shows the selection."""
    browser.open(f"{airflow_stack.api_url}/sync-status/?text={DAG}")
    browser.type("select[name=state]", "failed")
    browser.wait(lambda: "state=failed" in browser.address, "chosen")
    assert [link.text for link in browser.all("a.name")] == ["prices"]
    assert browser.find("input[name=text]").get_attribute("value") == DAG
    browser.open(f"{airflow_stack.api_url}/sync-status/?text={DAG}")
    browser.click("//th/a[normalize-space()='Job']")
    browser.wait(lambda: "sort=job" in browser.address, "sorted")
    assert [link.text for link in browser.all("a.name")] == ["images", "prices", "customers", "orders"]
    assert browser.complaints() == []


def test_what_runs(airflow_stack: AirflowStack, browser: Browser, run_id: str) -> None:
    """Running syncs are at the top with progress bars; hundreds of running tables do not hide the rest."""
    origin = Origin(source="task", dag_id=DAG, run_id=run_id, task_id="tables", map_index=-1, try_number=1)
    note = open_history(f"sqlite:///{airflow_stack.home / 'sync-history.db'}").running_note(origin).begin()
    try:
        orders = Work(name="orders", text="1,234,000 of 2,000,000 rows, about 2 min left", share=0.617)
        note.write([orders, Work(name="customers")])
        browser.open(airflow_stack.api_url)
        browser.click("//button[contains(., 'Browse')]")
        browser.click("//*[@role='menuitem'][contains(., 'Syncs')]")
        browser.enter_frame()
        assert "about 2 min left" in browser.find("tr.running").text
        assert browser.find("tr.running progress").get_attribute("value") == "0.617"
        browser.leave_frame()
        browser.screenshot(picture("status-page.png"))
        note.write([Work(name=f"table_{number}") for number in range(200)])
        browser.open(f"{airflow_stack.api_url}/sync-status/")
        assert browser.find("form.choice").location["y"] < HEIGHT - 300
    finally:
        note.end()


def test_dark(airflow_stack: AirflowStack, browser: Browser, run_id: str) -> None:
    """A dark system theme gives a dark page."""
    backgrounds = []
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        browser.open(f"{airflow_stack.api_url}/sync-status/")
        browser.find("table")
        backgrounds.append(browser.run("return getComputedStyle(document.body).backgroundColor"))
    browser.prefer("light")
    assert backgrounds == ["rgb(255, 255, 255)", "rgb(17, 20, 23)"]


def test_the_link_of_a_task(airflow_stack: AirflowStack, browser: Browser, run_id: str) -> None:
    """A task has a link to its syncs only, also after a failure; from Airflow 3.3 on, it opens in Airflow's frame."""
    in_frame = AIRFLOW_VERSION >= (3, 3)
    for task, shown in (("tables", ["customers", "orders"]), ("prices", ["prices"])):
        browser.open(f"{airflow_stack.api_url}/dags/{DAG}/runs/{run_id}/tasks/{task}/details")
        browser.click("//a[normalize-space()='Sync history']")
        if in_frame:
            browser.enter_frame()
        browser.find("a.name")
        assert [link.text for link in browser.all("a.name")] == shown
        browser.leave_frame()
        frame = "/plugin/sync" if in_frame else ""
        assert browser.address.startswith(f"{airflow_stack.api_url}{frame}/sync-status/")
        assert "XCom" not in airflow_stack.log_of(DAG, run_id, task)


def test_the_connection_form(airflow_stack: AirflowStack, browser: Browser) -> None:
    """The form of a connection of the type "sync" has our labels, placeholders, and the extra fields with their help."""
    described = get_provider_info()["connection-types"][0]
    behaviour, fields = described["ui-field-behaviour"], described["conn-fields"]
    browser.open(f"{airflow_stack.api_url}/connections")
    browser.click("//button[contains(., 'Add Connection')]")
    form = "//*[@role='dialog']"
    browser.type(f"{form}//input[@name='connection_id']", "sync_default")
    browser.type(f"{form}//input[@role='combobox']", described["hook-name"])
    browser.click(f"{form}//*[@role='option'][normalize-space()='{described['hook-name']}']")
    browser.find(f"{form}//input[@name='host']")
    for name, placeholder in behaviour["placeholders"].items():
        assert browser.find(f"{form}//input[@name='{name}']").get_attribute("placeholder") == placeholder
    for hidden in behaviour["hidden-fields"]:
        assert browser.all(f"{form}//input[@name='{hidden}']") == []
    shown = browser.find(form).text
    assert [label for label in behaviour["relabeling"].values() if label not in shown] == []
    browser.screenshot(picture("connection-form.png"), height=1020)

    # Of its sections one is open at a time.
    browser.click(f"{form}//button[normalize-space()='Extra Fields']")
    browser.find(f"{form}//input[@name='element_timeout']")
    for text in (field[part] for field in fields.values() for part in ("label", "description")):
        # The section unfolds.
        browser.wait(lambda text=text: text in browser.find(form).text, f"{text!r} in the form")  # type: ignore[misc]
    browser.screenshot(picture("connection-form-extra.png"), height=1500)


def test_the_button_test(airflow_stack: AirflowStack, browser: Browser, run_id: str) -> None:
    """A connection from the form, with the port 0 or with the URL's port, can be tested in the list."""
    with RunningServer(ServerConfig.from_dict({"tokens": [TOKEN]})) as server:
        browser.open(f"{airflow_stack.api_url}/connections")
        browser.click("//button[contains(., 'Add Connection')]")
        form = "//*[@role='dialog']"
        browser.type(f"{form}//input[@name='connection_id']", "made_in_form")
        browser.type(f"{form}//input[@role='combobox']", "Sync server")
        browser.click(f"{form}//*[@role='option'][normalize-space()='Sync server']")
        for name, value in (("host", server.url), ("password", TOKEN), ("port", "0")):
            browser.type(f"{form}//input[@name='{name}']", value)
        browser.click(f"{form}//button[contains(., 'Save')]")
        browser.wait(lambda: not browser.all(form), "the form closed")
        address, _, port = server.url.rpartition(":")
        airflow_stack.set_connection("with_port", conn_type="sync", host=address, port=int(port), password=TOKEN)
        for conn_id in ("made_in_form", "with_port"):
            browser.open(f"{airflow_stack.api_url}/connections")
            browser.click(f"//tr[contains(., '{conn_id}')]//button[@aria-label='Test Connection']")
            browser.find(f"//*[contains(text(), 'A sync server answers at {server.url}')]")
