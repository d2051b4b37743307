"""What people choose in the overview of syncs: filters, order, pages, and how often it is loaded again."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from airflow_provider_sync.history import History, Origin, Work
from airflow_provider_sync.plugin.page_query import PageQuery, read_query
from airflow_provider_sync.report import TableReport
from tests.plugin.api_server import ApiServer

NOW = datetime.now(UTC)
HOURLY, NIGHTLY = Origin(source="command", job="hourly"), Origin(source="command", job="nightly")


@pytest.fixture
def syncs(history: History) -> None:
    """Record three tables: one that is fresh, one whose last run failed, and one that never succeeded."""
    for name, status, hours, origin in (
        ("orders", "changed", 30, NIGHTLY),
        ("orders", "failed", 0, NIGHTLY),
        ("customers", "unchanged", 1, HOURLY),
        ("prices", "failed", 2, HOURLY),
    ):
        report = TableReport(name=name, status=status, error="e" if status == "failed" else None)  # type: ignore[arg-type]
        history.record([report], origin, finished=NOW - timedelta(hours=hours))


def names(api_server: ApiServer, query: str) -> str:
    """Return the names on a page, in their order."""
    return " ".join(re.findall(r'class="name" href="[^"]*">(\w+)<', api_server.get(f"/sync-status/{query}", "vera").text))


@pytest.mark.usefixtures("syncs")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "customers orders prices"),
        ("?text=ORD&job=&state=&age=&refresh=0", "orders"),
        ("?text=hour", "customers prices"),
        ("?job=nightly", "orders"),
        ("?state=failed", "orders prices"),
        ("?state=unchanged", "customers"),
        ("?age=1d", "orders prices"),
        ("?age=7d", "prices"),
        ("?state=failed&text=price&age=1h", "prices"),
        ("?text=nothing", ""),
        ("?sort=success", "prices orders customers"),
        ("?sort=success&descending=true", "customers orders prices"),
        ("?sort=run", "orders customers prices"),
        ("?sort=job", "customers prices orders"),
        ("?sort=%00&state=x&age=y&page=-1&refresh=z&descending=no", "customers orders prices"),
        ("?page=2", ""),
    ],
)
def test_choice(api_server: ApiServer, query: str, expected: str) -> None:
    """Name, job, state and staleness filter, columns sort, and invalid values are ignored."""
    assert names(api_server, query) == expected


@pytest.mark.usefixtures("syncs")
def test_the_form_shows_what_is_chosen(api_server: ApiServer) -> None:
    """The fields show the selection, a link sorts it, and each field has a label."""
    page = api_server.get("/sync-status/?state=failed&text=price&sort=success", "vera").text
    assert '<option value="failed" selected>' in page
    assert 'name="text" value="price"' in page
    assert '<input type="hidden" name="sort" value="success">' in page
    (link,) = re.findall(r'aria-sort="ascending"><a href="([^"]*)">Up to date', page)
    assert unescape(link) == "./?text=price&state=failed&sort=success&descending=true"
    form = page[page.index("<form") : page.index("</form>")]
    assert form.count("<label>") == form.count("<select") + form.count('<input type="search"') == 4


@pytest.mark.usefixtures("syncs")
def test_staleness(api_server: ApiServer) -> None:
    """Each line says since when the copy is up to date, also after a later failure, or that it never was."""
    page = api_server.get("/sync-status/", "vera").text
    lines = [line for line in page.split("<tr>") if 'class="name"' in line]
    assert ["1 hour ago" in lines[0], "1 day ago" in lines[1], "never" in lines[2]] == [True] * 3


@pytest.mark.usefixtures("syncs")
def test_reload(api_server: ApiServer) -> None:
    """A browser reloads the page at the selected interval, and by default not at all."""
    assert api_server.get("/sync-status/?refresh=30", "vera").headers["refresh"] == "30"
    for query in ("", "?refresh=1", "?refresh=0"):
        assert "refresh" not in api_server.get(f"/sync-status/{query}", "vera").headers


def test_addresses() -> None:
    """An address has only values that differ from the defaults, starts at the first page, and is read back equally."""
    query = PageQuery(text="a&b", age="6h", page=3, refresh=10)
    assert PageQuery().link() == "./?"
    assert query.link(page=4) == "./?text=a%26b&age=6h&page=4&refresh=10"
    assert query.link(state="failed") == "./?text=a%26b&state=failed&age=6h&refresh=10"
    assert read_query(text=" a&b ", age="6h", page="3", refresh="10") == query
    assert read_query(page="9" * 50).page == 1
    assert read_query(page="²").page == 1


@pytest.mark.usefixtures("syncs")
def test_what_runs(api_server: ApiServer, history: History) -> None:
    """Running syncs are at the top with progress and a link to the log, if the filter and the user's rights include them."""
    task = Origin(source="task", dag_id="shop", run_id="r", task_id="tables", map_index=-1, try_number=2)
    notes = [history.running_note(origin).begin() for origin in (NIGHTLY, task)]
    notes[0].write([Work(name="orders", text="5 of 10 rows", share=0.5), Work(name="<b>")])
    page = api_server.get("/sync-status/", "vera").text
    assert "Running now" in page
    assert '<progress value="0.500" aria-label="How far orders is">' in page
    assert "5 of 10 rows" in page
    assert "<b>" not in page
    assert "shop/tables" not in page
    assert "Running now" in api_server.get("/sync-status/?text=NIGHT", "vera").text
    for query in ("?text=prices", "?job=hourly", "?page=2"):
        assert "Running now" not in api_server.get(f"/sync-status/{query}", "vera").text
    for note in notes:
        note.end()
    assert "Running now" not in api_server.get("/sync-status/", "vera").text
