"""The page with the history of syncs, in Airflow's own API server."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import quote

import pytest

from airflow_provider_sync.history import History, Origin
from airflow_provider_sync.plugin import permissions
from airflow_provider_sync.plugin.status_app import PAGE, RUNS_ON_PAGE
from airflow_provider_sync.report import DirectoryReport, TableReport
from tests.airflow_runs import AIRFLOW_VERSION
from tests.plugin.api_server import ApiServer

READS_COOKIES = AIRFLOW_VERSION > (3, 1, 0)
COMMAND = Origin(source="command", job="airflow-sync run /etc/client.yaml")
SCRIPT = "<script>alert(1)</script>"
RUNS = "/sync-status/runs?name=orders&kind=table&job=airflow-sync+run+%2Fetc%2Fclient.yaml"


def changed(name: str = "orders", **numbers: object) -> TableReport:
    """Return a report of a table that changed."""
    return TableReport(**{"name": name, "status": "changed", **numbers})  # type: ignore[arg-type]


@pytest.fixture
def one_dag(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every user read the DAG ``shop``, and no other."""
    manager = permissions.get_auth_manager()
    monkeypatch.setattr(type(manager), "get_authorized_dag_ids", lambda _self, *, user, method="GET": {"shop"})


@pytest.mark.parametrize("path", ["/sync-status/", RUNS])
def test_nobody_sees_it_without_logging_in(api_server: ApiServer, history: History, path: str) -> None:
    """Without a token of Airflow, or with a wrong one, the answer is 401 or 403 without any history."""
    history.record([changed()], COMMAND)
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Bearer a.b.c"}, 403),
        ({"Cookie": "_token=a.b.c"}, 403 if READS_COOKIES else 401),
    ):
        answer = api_server.get(path, headers=headers)
        assert answer.status_code == status
        assert "orders" not in answer.text


@pytest.mark.skipif(not READS_COOKIES, reason="Airflow 3.1.0 reads no cookie")
def test_browsers_see_it(api_server: ApiServer, history: History) -> None:
    """The cookie of the login is enough, because a browser sends only that when it opens a page."""
    history.record([changed()], COMMAND)
    answer = api_server.get("/sync-status/", headers={"Cookie": f"_token={api_server.token('vera')}"})
    assert answer.status_code == 200
    assert "orders" in answer.text


def test_the_ui_may_be_closed_to_a_user(api_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user to whom the auth manager closes the user interface gets 403."""
    manager = permissions.get_auth_manager()
    monkeypatch.setattr(type(manager), "is_authorized_view", lambda _self, *, access_view, user: False)
    assert api_server.get("/sync-status/", "vera").status_code == 403


@pytest.mark.usefixtures("one_dag")
def test_only_dags_that_the_user_may_read(api_server: ApiServer, history: History) -> None:
    """Records of DAGs that the user may not read are not shown, counted or found by their name."""
    shop = Origin(source="task", dag_id="shop", task_id="t", run_id="r")
    private = Origin(source="task", dag_id="private", task_id="t", run_id="r")
    history.record([changed("known")], shop)
    history.record([changed("secret", status="failed", error="e")], private)
    page = api_server.get("/sync-status/", "vera").text
    assert "known" in page
    assert "secret" not in page
    assert "Failed 0" in page
    assert api_server.get("/sync-status/runs?name=known&kind=table&job=shop/t", "vera").status_code == 200
    assert api_server.get("/sync-status/runs?name=secret&kind=table&job=private/t", "vera").status_code == 404


def test_what_it_shows(api_server: ApiServer, history: History) -> None:
    """Each table and directory has a line: last changes, traffic, duration, and last error."""
    failed = changed(status="failed", error="The source is gone.")
    history.record([failed], COMMAND, finished=datetime.now(UTC) - timedelta(hours=3))
    good = changed(rows_total=28_000, rows_inserted=1_200, rows_updated=15, rows_deleted=3, bytes_received=62_464, seconds=1.26)
    history.record([good, DirectoryReport(name="images", status="unchanged", files_total=7)], COMMAND)
    page = api_server.get("/sync-status/", "vera").text
    for text in ("orders", "+1,200", "~15", "−3", "28,000", "61.0 KiB", "1.3 s", "images", "unchanged", COMMAND.job_name):
        assert str(text) in page
    assert re.search(r"3 hours ago</time>, succeeded since:</span> The source is gone\.", page)


@pytest.mark.usefixtures("one_dag")
def test_what_a_task_syncs_no_longer(api_server: ApiServer, history: History) -> None:
    """A failed name that its task does not sync any more does not count as failed; its line and page say why."""
    for run_id, report in (("1", changed("odrers", status="failed", error="No such table.")), ("2", changed("orders"))):
        history.record([report], Origin(source="task", dag_id="shop", run_id=run_id, task_id="t", map_index=-1, try_number=1))
    page = api_server.get("/sync-status/", "vera").text
    assert "Failed 0</a>" in page
    assert '<span class="badge left-out">left out</span>' in page
    assert "the job succeeded since without it:</span> No such table." in page
    assert "odrers" not in api_server.get("/sync-status/?state=failed", "vera").text
    assert "does not count as failed" in api_server.get("/sync-status/runs?name=odrers&kind=table&job=shop/t", "vera").text


def test_what_failed_has_no_counts(api_server: ApiServer, history: History) -> None:
    """A failed sync shows its error instead of counts, in the overview and among its runs."""
    history.record([changed(status="failed", error="The source is gone."), changed("odd", status="failed")], COMMAND)
    for path, reasons in (("/sync-status/", 2), (RUNS, 1)):
        page = api_server.get(path, "vera").text
        assert page.count(">not synced</td>") == reasons
        assert "The source is gone." in page
        assert ">+0<" not in page
    assert "no reason was given" in api_server.get("/sync-status/", "vera").text


def test_runs(api_server: ApiServer, history: History) -> None:
    """The page of a table has its runs with their tasks, charts of rows and bytes, its last error and warnings."""
    task = Origin(
        source="task", dag_id="shop", run_id="manual__2026-11-23T20:00:00+00:00", task_id="g.t", map_index=2, try_number=3
    )
    for number in range(5):
        history.record([changed(rows_inserted=number, bytes_received=1000 * number, verified="digest")], task)
    history.record([changed(status="failed", error="No answer.", warnings=("Look here.",))], task)
    with pytest.MonkeyPatch.context() as patch:
        manager = permissions.get_auth_manager()
        patch.setattr(type(manager), "get_authorized_dag_ids", lambda _self, *, user, method="GET": {"shop"})
        page = api_server.get("/sync-status/runs?name=orders&kind=table&job=shop/g.t", "vera").text
    link = "../dags/shop/runs/manual__2026-11-23T20%3A00%3A00%2B00%3A00/tasks/g.t/mapped/2?try_number=3"
    assert page.count(f'href="{link}"') == 6
    assert page.count("<svg") == 2
    assert "4.0 KiB" not in page  # the bar of the newest success
    for text in ("3.9 KiB", "No answer.", "Look here.", "digest"):
        assert text in page


@pytest.mark.usefixtures("one_dag")
def test_the_steps_of_a_sync(api_server: ApiServer, history: History) -> None:
    """The link of a step leads only to its own sync."""
    for job in ("shop/a", "shop/a.b", "shop/a.c", "shop/b"):
        history.record([changed(f"of-{job}")], Origin(source="task", dag_id="shop", job=job))
    page = api_server.get("/sync-status/?job=shop/a.b", "vera").text
    assert re.findall(r"runs\?name=of-([^&]*)&", page) == ["shop%2Fa", "shop%2Fa.b"]


def test_pages(api_server: ApiServer, history: History) -> None:
    """The links to further pages show every entry once."""
    history.record([changed(f"t{number:03}") for number in range(PAGE + 2)], COMMAND)
    history.record([changed("t000")] * (RUNS_ON_PAGE + 1), COMMAND)
    seen: list[str] = []
    path: str | None = "/sync-status/"
    while path:
        page = api_server.get(path, "vera").text
        seen += re.findall(r'class="name" href="[^"]*">(\w+)<', page)
        more = re.search(r'<a href="\./(\?[^"]*)">More</a>', page)
        path = f"/sync-status/{unescape(more[1])}" if more else None
    assert seen == [f"t{number:03}" for number in range(PAGE + 2)]
    first = api_server.get(RUNS.replace("orders", "t000"), "vera").text
    older = re.search(r'<a href="(runs\?[^"]*)">Older</a>', first)
    assert older is not None
    second = api_server.get(f"/sync-status/{unescape(older[1])}", "vera").text
    assert [page.count('<span class="badge') for page in (first, second)] == [RUNS_ON_PAGE, 2]


def test_names_and_errors_are_not_trusted(api_server: ApiServer, history: History) -> None:
    """Markup in a name, a job or an error is shown as text, and no foreign script can run."""
    job = Origin(source="command", job=f"{SCRIPT}\"'")
    history.record([changed(SCRIPT, status="failed", error=SCRIPT, warnings=(SCRIPT,))], job)
    for path in ("/sync-status/", "/sync-status/?state=failed"):
        answer = api_server.get(path, "vera")
        assert "<script>" not in answer.text
        assert answer.text.count("&lt;script&gt;") == 4
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe-inline" not in answer.headers["content-security-policy"]
    (link,) = set(re.findall(r'href="(runs\?[^"]*)"', api_server.get("/sync-status/", "vera").text))
    page = api_server.get(f"/sync-status/{unescape(link)}", "vera")
    assert page.status_code == 200
    assert "<script>" not in page.text


def test_text_that_is_not_printable(api_server: ApiServer, history: History) -> None:
    """Escape codes and marks of direction in names, jobs, errors and the address are shown as text."""
    strange = "a\x1b[31mb\u202ec"
    job = Origin(source="command", job=strange)
    history.record([changed(strange, status="failed", error=strange, warnings=(strange,))], job)
    address = f"?text={quote(strange)}&job={quote(strange)}"
    for path in ("", address, f"runs?name={quote(strange)}&kind=table&job={quote(strange)}"):
        page = api_server.get(f"/sync-status/{path}", "vera").text
        assert r"a\x1b[31mb\u202ec" in page
        assert not {"\x1b", "\u202e"} & set(page)


@pytest.mark.parametrize("query", ["name=%00&kind=x&job=y", "name=%ED%B3%BF&kind=x&job=y", "name=a&kind=b&job=c&before=1"])
def test_what_is_not_there(api_server: ApiServer, query: str) -> None:
    """A name without a record is not found, whatever characters it has."""
    assert api_server.get(f"/sync-status/runs?{query}", "vera").status_code == 404


@pytest.mark.usefixtures("history")
def test_nothing_yet(api_server: ApiServer) -> None:
    """Before the first record, the page says why it may be empty, and what to configure."""
    assert "<code>[sync] history</code>" in api_server.get("/sync-status/", "vera").text


def test_a_history_that_cannot_be_read(
    api_server: ApiServer, history_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the history cannot be read, the answer is 503, and only the log has the reason."""
    monkeypatch.setenv("AIRFLOW__SYNC__HISTORY", f"{history_url}/no/folder")
    answer = api_server.get("/sync-status/", "vera")
    assert answer.status_code == 503
    assert "unable to open" in caplog.text
    assert "unable to open" not in answer.text
    assert history_url not in answer.text


def test_it_has_no_server(api_server: ApiServer) -> None:
    """Without a configuration of a sync server, no server is mounted, and the status page exists."""
    assert "sync server" not in api_server.get("/sync/capabilities").text
    assert api_server.get("/sync-status/static/style.css").status_code == 200


def test_the_menu(api_server: ApiServer) -> None:
    """The menu "Browse" of Airflow leads to the page."""
    plugins = api_server.get("/api/v2/plugins", "ann").json()["plugins"]
    (ours,) = [plugin for plugin in plugins if plugin["name"] == "sync"]
    (view,) = ours["external_views"]
    assert (view["href"], view["category"], view["url_route"]) == ("/sync-status/", "browse", "sync")
