"""Metrics: what they count, who may read them, and the dashboard that shows them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import anyio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from airflow_provider_sync.config import ServerConfig, ServerLimits
from airflow_provider_sync.config.tokens import token_digest
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.protocol.v2.file_messages import ListFiles
from airflow_provider_sync.protocol.v2.messages import GetRows, RequestedSlice
from airflow_provider_sync.server.active_requests import ActiveRequest
from airflow_provider_sync.server.observability.request_account import RequestAccount
from airflow_provider_sync.server.process.process_state import ProcessState
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.docs.pages import PROJECT
from tests.server.process.running import running, wait_until
from tests.server.wire import Answer, ask, post, run_sqlite, send

TOKEN = "token-of-the-warehouse"
DASHBOARD = PROJECT / "docs" / "how-to" / "grafana-dashboard.json"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

_COUNTS = """
import sys
from airflow_provider_sync.server.observability.metrics import Metrics
from airflow_provider_sync.server.observability.request_account import RequestAccount
metrics = Metrics()
account = RequestAccount(endpoint="getRows", status=200, rows=int(sys.argv[1]), tables=["t"])
metrics.observe({}, account)
metrics.open_streams(1)
print(metrics.exposition(None).decode())
"""
_FORGET = """
import sys
from airflow_provider_sync.server.observability.shared_metrics import forget_process
for process in sys.argv[1:]:
    forget_process(int(process))
"""
# A hundred more that have counted the same, taken together by one thread while another one reads.
_FORGET_MANY = """
import re, shutil, sys
from pathlib import Path
from threading import Thread
import prometheus_client
from airflow_provider_sync.server.observability.shared_metrics import forget_process, shared_exposition
folder, process = Path(sys.argv[1]), sys.argv[2]
many = range(10_000_000, 10_000_100)
for number in many:
    shutil.copy(folder / f"counter_{process}.db", folder / f"counter_{number}.db")
forgetting = Thread(target=lambda: [forget_process(number) for number in many])
forgetting.start()
seen = set()
while True:
    ended = not forgetting.is_alive()
    seen.add(re.search(rb"rows_total{.*} (.*)", shared_exposition())[1].decode())
    if ended:
        break
assert not (folder / f"counter_{many[-1]}.db").exists()
print(*seen)
"""


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Offer a table of three rows and a directory of one file."""
    run_sqlite(tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3)")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "one").write_text("one")
    return {
        "connections": {"main": f"sqlite:///{tmp_path / 'a.db'}"},
        "tables": {"t": {}, "broken": {"table": "nope"}},
        "directories": {"d": {"path": str(tmp_path / "files")}},
        "tokens": [{"token": TOKEN, "name": "warehouse"}],
        "cache": str(tmp_path / "digests.sqlite"),
    }


@pytest.fixture
def base(settings: dict[str, Any]) -> Iterator[str]:
    """Serve them."""
    with RunningServer(ServerConfig.from_dict(settings)) as server:
        yield server.url


def samples(text: bytes | str) -> Samples:
    """Return the value of each series."""
    families = text_string_to_metric_families(text.decode() if isinstance(text, bytes) else text)
    return {(sample.name, frozenset(sample.labels.items())): sample.value for family in families for sample in family.samples}


def scraped(base: str) -> Samples:
    """Ask for the metrics."""
    answer = send(base, "GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return samples(answer.body)


def value(found: Samples, name: str, **labels: str) -> float | None:
    """Return the value of one series."""
    return found.get((f"sync_server_{name}", frozenset(labels.items())))


def scraped_after_use(base: str) -> Samples:
    """Ask for rows and files, with a token and without, and for what cannot be read; return the metrics once all of it counts."""
    ask(base, "/getRows", GetRows(table_slice=RequestedSlice(name="t")), token=TOKEN)
    post(base, "/getTable", {"config_name": "t"}, token=TOKEN)
    ask(base, "/listFiles", ListFiles(directory="d"), token=TOKEN)
    post(base, "/getTable", {"config_name": "t"}, token="wrong-token-of-somebody")
    post(base, "/getTable", {"config_name": "broken"}, token=TOKEN)
    send(base, "GET", "/nowhere")
    # A request is counted after its last byte.
    wait_until(lambda: sum(_requests(scraped(base)).values()) == 6)
    return scraped(base)


def _requests(found: Samples) -> Samples:
    """Return the counts of requests for anything but metrics."""
    counts = {key: count for key, count in found.items() if key[0] == "sync_server_requests_total"}
    return {key: count for key, count in counts.items() if ("endpoint", "metrics") not in key[1]}


def test_what_is_counted(base: str, tmp_path: Path) -> None:
    """Requests, rows, files, bytes, seconds, refused tokens, errors and the age of the digest cache are measured."""
    found = scraped_after_use(base)
    assert value(found, "requests_total", endpoint="getRows", status="200") == 1
    assert value(found, "requests_total", endpoint="getTable", status="401") == 1
    assert value(found, "rows_total", endpoint="getRows") == 3
    assert value(found, "rows_total", endpoint="getTable") == 3
    assert value(found, "files_total", endpoint="listFiles") == 1
    assert (value(found, "sent_bytes_total", endpoint="getRows") or 0) > 0
    assert value(found, "scan_seconds_count", endpoint="getRows") == 1
    assert value(found, "request_seconds_count", endpoint="getTable") == 3
    assert value(found, "refused_tokens_total") == 1
    assert value(found, "errors_total", kind="MissingTableError") == 1
    assert value(found, "open_streams") == 0
    assert (value(found, "digest_cache_age_seconds") is None) == (not (tmp_path / "digests.sqlite").exists())
    assert any(name == "process_resident_memory_bytes" for name, _ in found)


def test_what_is_refused_before_any_endpoint() -> None:
    """Requests that are refused for their head or their number have separate kinds of errors."""
    kinds = ("AmbiguousLength", "HeadTooLarge", "HostNotServed", "SentByWebPage", "TooManyOfAddress")
    refused = [
        {"Transfer-Encoding": "chunked", "Content-Length": "0"},
        {"Cookie": "x" * 20_000},
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
    ]
    crowded = [{"X-Forwarded-For": "192.0.2.7"}] * 4
    with RunningServer(ServerConfig.from_dict({"limits": {"requests_per_minute": 3}})) as server:
        statuses = [send(server.url, "POST", "/nowhere", headers=headers).status for headers in (*refused, *crowded)]
        assert statuses == [400, 431, 421, 403, 404, 404, 404, 429]
        wait_until(lambda: sum(_requests(scraped(server.url)).values()) == len(statuses))
        found = scraped(server.url)
    assert {kind: value(found, "errors_total", kind=kind) for kind in kinds} == dict.fromkeys(kinds, 1)


def test_no_label_is_chosen_by_a_client(base: str) -> None:
    """Clients cannot create series by paths and names."""
    send(base, "GET", "/a")
    before = scraped(base)
    for number in range(20):
        send(base, "GET", f"/a{number}")
        post(base, f"/b{number}", {"config_name": f"x{number}"}, token=f"wrong-token-{number}")
    assert {name for name, labels in scraped(base) if "a1" in str(labels)} == set()
    assert len(scraped(base)) - len(before) < 30


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via"])
def test_only_this_machine(base: str, header: str) -> None:
    """Without a token for metrics, only requests from this machine without a proxy are answered."""
    assert send(base, "GET", "/metrics").status == 200
    refused = send(base, "GET", "/metrics", headers={header: "10.0.0.1"})
    assert refused.status == 403
    assert b"metrics.token" in refused.body
    assert b"sync_server_" not in refused.body


@pytest.mark.parametrize("stored", ["token", "token_sha256"])
def test_its_own_token(settings: dict[str, Any], stored: str) -> None:
    """With a token for metrics, it is valid from anywhere, only for metrics, and no other token is."""
    own = "token-of-the-scraper"
    metrics = {stored: own if stored == "token" else token_digest(own)}
    with RunningServer(ServerConfig.from_dict({**settings, "metrics": metrics})) as server:

        def answer(path: str, token: str | None) -> Answer:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            return send(server.url, "GET", path, headers=headers | {"X-Forwarded-For": "10.0.0.1"})

        assert answer("/metrics", own).status == 200
        for token in (None, TOKEN, "wrong-token-of-somebody"):
            refused = answer("/metrics", token)
            assert (refused.status, b"sync_server_" in refused.body) == (401, False)
        assert answer("/capabilities", own).status == 401


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"token": "a" * 20, "token_sha256": "0" * 64}, "both token and token_sha256"),
        ({"token": " "}, "token is empty"),
        ({"token_sha256": "abc"}, "64 hex digits"),
        ({"tokens": ["a"]}, "no option 'tokens'"),
    ],
)
def test_wrong_options(metrics: dict[str, Any], words: str) -> None:
    """A mistake in ``metrics`` is refused by its name."""
    with pytest.raises(ConfigurationError, match=words):
        ServerConfig.from_dict({"metrics": metrics})


class Counting:
    """Processes that share a folder.

    :ivar folder: the files in which they count
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, code: str, *arguments: str) -> str:
        """Run a process until its end, and return what it printed."""
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(self.folder)}
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    def count(self, rows: int) -> Samples:
        """Run a process that counts rows, and return what it saw of all of them."""
        return samples(self.run(_COUNTS, str(rows)))

    @property
    def processes(self) -> set[str]:
        """The numbers of processes of which there are files."""
        return {match[1] for file in self.folder.iterdir() if (match := re.search(r"_(\d+)\.db", file.name))}


def test_several_processes(tmp_path: Path) -> None:
    """Processes add up their counts; those of ended ones stay, in as many files as of one process."""
    counting = Counting(tmp_path)
    counting.count(5)
    found = counting.count(7)
    assert value(found, "rows_total", endpoint="getRows") == 12
    assert value(found, "requests_total", endpoint="getRows", status="200") == 2
    assert value(found, "open_streams") == 2
    assert len(counting.processes) == 2
    counting.run(_FORGET, *counting.processes)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["counter_ended.db", "histogram_ended.db"]
    found = counting.count(1)
    assert value(found, "open_streams") == 1
    assert value(found, "rows_total", endpoint="getRows") == 13
    assert value(found, "request_seconds_count", endpoint="getRows") == 3
    assert value(found, "request_seconds_bucket", endpoint="getRows", le="+Inf") == 3


def test_a_process_killed_before_it_counted(tmp_path: Path) -> None:
    """A process that was killed, or is just creating its file, has no counts; the file of a killed one is removed."""
    (tmp_path / "counter_4.db").touch()
    counting = Counting(tmp_path)
    assert value(counting.count(5), "rows_total", endpoint="getRows") == 5
    counting.run(_FORGET, "4", *counting.processes)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["counter_ended.db", "histogram_ended.db"]


def test_a_scrape_while_processes_end(tmp_path: Path) -> None:
    """Sums do not change while the counts of ended processes are combined."""
    counting = Counting(tmp_path)
    counting.count(5)
    (process,) = counting.processes
    seen = counting.run(_FORGET_MANY, str(tmp_path), process)
    assert seen.split() == [str(5.0 * 101)]


def queries() -> list[tuple[str, str]]:
    """Return title and query of each target of the dashboard."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]


def test_the_dashboard(base: str, tmp_path: Path) -> None:
    """Each query of the Grafana dashboard uses an existing series with its labels."""
    (tmp_path / "digests.sqlite").touch()
    found = scraped_after_use(base)
    labels_of: dict[str, set[str]] = {}
    for name, labels in found:
        labels_of.setdefault(name, {"instance", "job"}).update(label for label, _ in labels)
    assert len(queries()) > 8
    for title, query in queries():
        names = set(re.findall(r"\b(?:sync_server|process)_\w+", query))
        assert names, title
        for name in names:
            assert name in labels_of, f"{title}: {name}"
        asked = {label for group in re.findall(r"\bby \(([^)]*)\)", query) for label in re.split(r",\s*", group)}
        asked |= {label for selector in re.findall(r"\{([^}]*)\}", query) for label in re.findall(r"(\w+)\s*[=!]~?", selector)}
        assert asked <= set.union(*(labels_of[name] for name in names)), f"{title}: {asked}"
        legends = re.findall(r"\(", query)
        assert len(legends) == query.count(")"), title


def test_workers_of_a_server(settings: dict[str, Any], tmp_path: Path) -> None:
    """Any worker answers with the metrics of all, including killed ones."""
    (tmp_path / "server").mkdir()
    (tmp_path / "metrics").mkdir()
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
    with running(tmp_path / "server", "--workers", "2", environment=environment, **settings) as server:

        def count() -> float | None:
            return value(scraped(server.url), "requests_total", endpoint="getTable", status="200")

        for _ in range(8):
            assert post(server.url, "/getTable", {"config_name": "t"}, token=TOKEN).status == 200
        wait_until(lambda: count() == 8)
        assert [count() for _ in range(6)] == [8] * 6
        workers = server.workers
        os.kill(workers[0], signal.SIGKILL)
        wait_until(lambda: len(server.workers) == 2 and server.workers != workers)
        assert [count() for _ in range(6)] == [8] * 6
        assert not [file for file in (tmp_path / "metrics").iterdir() if str(workers[0]) in file.name]


def test_waiting_scans() -> None:
    """A request that waits for a place to read a database counts as waiting until it has one."""
    state = ProcessState.begin(ServerLimits(scans=1))

    def waiting() -> float | None:
        return value(samples(state.metrics.exposition(None)), "waiting_scans")

    def read(active: ActiveRequest) -> None:
        with active.reads("db"):
            pass

    async def two_at_once() -> None:
        admit = state.active_requests.admit
        with admit(RequestAccount()) as first, admit(RequestAccount()) as second:
            with first.reads("db"):
                thread = Thread(target=read, args=(second,))
                thread.start()
                wait_until(lambda: waiting() == 1)
            thread.join()

    anyio.run(two_at_once)
    assert waiting() == 0
