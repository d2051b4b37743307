"""The example DAGs, run as they stand."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.airflow_runs import run_dag, task_states
from tests.source_server import ROWS, Source, Target

EXAMPLES = Path(__file__).parents[2] / "example_dags"
DOCS = EXAMPLES.parent / "docs"


def load(name: str) -> Any:
    """Return the DAG in an example, as Airflow would parse it."""
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.dag


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("example_*.py")), ids=lambda path: path.stem)
def test_parsing(path: Path) -> None:
    """An example parses without any connection, is called as its file, and closes every section that the docs include."""
    assert load(path.stem).dag_id == path.stem
    text = path.read_text()
    assert re.findall(r"\[START (\w+)\]", text) == re.findall(r"\[END (\w+)\]", text) != []


def test_table_sync(source: Source, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables arrive at the first run, and the second has nothing to do."""
    target = Target(sqlite_url, monkeypatch)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f'{{"conn_type": "sqlite", "host": "{sqlite_url.removeprefix("sqlite:///")}"}}')
    target.execute("ALTER TABLE customers RENAME COLUMN name TO customer_name")
    dag = load("example_table_sync")
    assert task_states(run_dag(dag)) == {"orders_changed": "success", "sync_orders": "success", "sync_shop": "success"}
    target.execute("ALTER TABLE customers RENAME COLUMN customer_name TO name")
    assert {name: target.rows(name) for name in ROWS} == ROWS
    target.execute("ALTER TABLE customers RENAME COLUMN name TO customer_name")
    assert task_states(run_dag(dag)) == {"orders_changed": "skipped", "sync_orders": "skipped", "sync_shop": "skipped"}


def test_file_sync(source: Source, tmp_path: Path) -> None:
    """The directories arrive at the first run, and the second has nothing to do."""
    folder = tmp_path / "target"
    dag = load("example_file_sync")
    states = task_states(run_dag(dag, run_conf={"folder": str(folder)}))
    assert states == {"images_changed": "success", "sync_images": "success", "sync_documents": "success"}
    assert (folder / "images" / "one.txt").read_text() == "one of images"
    assert (folder / "invoices" / "deep" / "two.pdf").exists()
    assert not (folder / "invoices" / "one.txt").exists()
    states = task_states(run_dag(dag, run_conf={"folder": str(folder)}))
    assert states == {"images_changed": "skipped", "sync_images": "skipped", "sync_documents": "skipped"}


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.stem)
def test_docs_show_the_examples(page: Path) -> None:
    """Code that a page says it includes from an example is what stands there."""
    for path, section, shown in re.findall(r"<!-- include: (\S+) (\w+) -->\n```python\n(.*?)```", page.read_text(), re.DOTALL):
        text = (EXAMPLES.parent / path).read_text()
        found = re.search(rf"# \[START {section}\]\n(.*?) *# \[END {section}\]", text, re.DOTALL)
        assert found is not None
        assert shown == dedent(found[1])
