"""Connections of Airflow, named in the configuration of the commands."""

from __future__ import annotations

import json

import boto3
import pytest

from airflow_provider_sync.config import ClientConfig
from tests.cli.conftest import Command
from tests.cli.site import Site, reports
from tests.object_store import KEYS, REGION, bucket, object_store

__all__ = ["bucket", "object_store"]


@pytest.mark.slow
def test_connections_of_airflow(
    site: Site, command: Command, monkeypatch: pytest.MonkeyPatch, object_store: str, bucket: str
) -> None:
    """``airflow://CONN_ID`` opens a database, and ``s3://CONN_ID@bucket`` a directory, by Airflow's connections."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": str(site.target)}))
    url = ClientConfig.from_yaml(site.config).url
    site.configure(
        url, connections={"local": "airflow://warehouse"}, directories={"images": {"path": f"s3://store@{bucket}/images"}}
    )
    assert command("run") == 0
    assert len(site.rows("orders")) == 3
    keys = {"aws_access_key_id": KEYS["login"], "aws_secret_access_key": KEYS["password"], "region_name": REGION}
    listed = boto3.client("s3", endpoint_url=object_store, **keys).list_objects_v2(Bucket=bucket, Prefix="images/")
    assert [entry["Key"] for entry in listed["Contents"]] == ["images/a.png"]


@pytest.mark.slow
def test_connections_that_airflow_does_not_have(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """A connection that Airflow lacks fails its tables and directories, and the rest is synced."""
    url = ClientConfig.from_yaml(site.config).url
    tables = {"orders": {"connection": "airflow://no_such_connection"}, "customers": {}}
    site.configure(url, tables=tables, directories={"images": {"path": "s3://no_such_connection@bucket/images"}})
    assert command("run", "--json") == 3
    printed = capsys.readouterr()
    assert [report["status"] for report in reports(printed.out).values()] == ["failed", "changed", "failed"]
    assert "no_such_connection" in printed.err
