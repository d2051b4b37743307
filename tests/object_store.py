"""A local server of the S3 protocol, under a connection of Airflow."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

KEYS = {"login": "access-key", "password": "secret-access-key"}
REGION = "us-east-1"


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """Give the URL of an S3 server; Airflow keeps a filesystem for each connection id, so one has to last."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture
def bucket(object_store: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the name of a fresh bucket with one object, ``all/a.txt``, which the connection ``store`` leads to."""
    extra = {"endpoint_url": object_store, "region_name": REGION}
    monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps({"conn_type": "aws", **KEYS, "extra": extra}))
    client = boto3.client(
        "s3",
        endpoint_url=object_store,
        region_name=REGION,
        aws_access_key_id=KEYS["login"],
        aws_secret_access_key=KEYS["password"],
    )
    name = f"company-{secrets.token_hex(4)}"
    client.create_bucket(Bucket=name)
    client.put_object(Bucket=name, Key="all/a.txt", Body=b"stored")
    return name
