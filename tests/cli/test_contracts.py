"""The configuration files that users were promised, as they stand, and with databases and folders that are really there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_provider_sync.cli.main import main
from airflow_provider_sync.config import ClientConfig, ServerConfig, Token, connection_url
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import plan_run
from tests.cli.site import execute, reports

CONTRACTS = Path(__file__).parents[1] / "contracts"


def load(name: str) -> dict[str, Any]:
    """Read a file as it stands."""
    settings: dict[str, Any] = yaml.safe_load((CONTRACTS / name).read_text())
    return settings


def test_server_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option of ``server.yaml`` is read as promised, variables replaced after parsing."""
    monkeypatch.setenv("SYNC_TOKEN", "a: 'b' #c")
    monkeypatch.setenv("DB_PASSWORD", "p%40ss")
    config = ServerConfig.from_yaml(CONTRACTS / "server.yaml")
    assert config.tokens == (Token(token="a: 'b' #c"),)
    by_code, customers = config.tables["orders_by_code"], config.tables["shop.customers"]
    assert (by_code.table_name, by_code.primary_key) == ("orders", ("code",))
    assert (customers.primary_key, customers.windows) == (("region", "id"), ("created_at",))
    for table in config.tables.values():
        assert connection_url(config.connections, config.default_connection, table) == "mysql://user:p%40ss@db.example/shop"
    assert config.directories["exports"].hasher == "none"


def test_client_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option of ``client.yaml`` is read as promised."""
    monkeypatch.setenv("SYNC_TOKEN", "secret")
    config = ClientConfig.from_yaml(CONTRACTS / "client.yaml")
    assert (config.token, config.files_per_request, config.retries, config.single_transaction) == ("secret", 10, 3, True)
    plan = plan_run(config)
    (orders, customers) = plan.tables["sqlite:////data/local.db"]
    assert (orders.max_deletes, orders.create_table) == ("50%", False)
    assert (customers.table_name, customers.renames, customers.create_table) == ("customers", {"name": "customer_name"}, True)
    (images,) = plan.directories
    assert images.files_per_request == 10
    assert (images.include, images.exclude, images.max_deletes) == (("**/*.png",), ("tmp/**",), "50%")


def test_they_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With existing databases and folders, the promised files sync their tables and directories."""
    monkeypatch.setenv("SYNC_TOKEN", "secret")
    monkeypatch.setenv("DB_PASSWORD", "secret")
    monkeypatch.chdir(tmp_path)
    source, target = tmp_path / "shop.db", tmp_path / "local.db"
    columns = "region TEXT, id INTEGER, {name} TEXT, created_at TEXT, secret TEXT, PRIMARY KEY (region, id)"
    execute(source, "CREATE TABLE orders (id INTEGER PRIMARY KEY, code TEXT UNIQUE)", "INSERT INTO orders VALUES (1, 'x')")
    execute(source, f"CREATE TABLE customers ({columns.format(name='name')})")
    execute(source, "INSERT INTO customers VALUES ('north', 1, 'Ann', '2024-01-01', 'x')")
    execute(target, "CREATE TABLE orders (id INTEGER PRIMARY KEY, code TEXT)")
    execute(target, f"CREATE TABLE customers ({columns.format(name='customer_name')})")
    for path in ("srv/images/a.png", "srv/images/tmp/b.png", "srv/images/c.txt", "reports/x.csv"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)

    served = load("server.yaml")
    served["connections"] = {"shop": f"sqlite:///{source}"}
    served["tables"]["shop.customers"]["table"] = "customers"
    served["directories"]["images"]["path"] = str(tmp_path / "srv/images")
    served["directories"]["exports"]["path"] = str(tmp_path / "reports")
    wanted = load("client.yaml")
    wanted["connections"] = {"local": f"sqlite:///{target}"}
    (tmp_path / "server.yaml").write_text(yaml.safe_dump(served))
    with RunningServer(ServerConfig.from_yaml(tmp_path / "server.yaml")) as server:
        wanted["url"] = server.url
        (tmp_path / "client.yaml").write_text(yaml.safe_dump(wanted))
        assert main(["run", "--config", "client.yaml", "--json"]) == 0
        first = reports(capsys.readouterr().out)
        assert main(["diff", "--config", "client.yaml"]) == 0
    assert {name: report["status"] for name, report in first.items()} == {
        "orders": "changed",
        "shop.customers": "changed",
        "images": "changed",
    }
    assert sorted(path.name for path in (tmp_path / "images").rglob("*")) == ["a.png"]
