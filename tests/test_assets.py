"""Assets of the scheme ``sync``."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import Asset

from airflow_provider_sync.assets import asset_uri, create_asset, offered_name

ORDERS = "sync://source.example/api/sync/tables/orders"


@pytest.mark.parametrize(
    "uri",
    [
        ORDERS,
        "sync://Source.Example:443/api/sync/tables/orders/",
        "SYNC://source.example:80/api/sync/tables/orders",
        "sync://source.example/api/sync/tables/%6Frders#part",
        "sync://user@source.example/api/sync/tables/orders",
    ],
)
def test_one_way_to_write_it(uri: str) -> None:
    """Airflow normalizes every notation of a table to the same asset."""
    assert Asset(uri).uri == ORDERS


@pytest.mark.parametrize(
    "base", ["https://source.example/api/sync", "http://u:p@source.example/api/sync/", "HTTPS://source.example:443/api/sync"]
)
def test_assets_of_a_server(base: str) -> None:
    """The asset of a table has the server's base URL and the table's name, without credentials."""
    assert create_asset(url=base, table="orders").uri == asset_uri(base, "tables", "orders") == ORDERS


@pytest.mark.parametrize("name", ["shop.orders", "a/b c", "Ärger%", "?#"])
def test_names(name: str) -> None:
    """Any name can be part of an asset."""
    asset = create_asset(url="http://127.0.0.1:8765", directory=name, extra={"a": 1})
    assert asset.uri.startswith("sync://127.0.0.1:8765/directories/")
    assert (offered_name(asset.uri), asset.extra) == (("directories", name), {"a": 1})


@pytest.mark.parametrize(
    "uri", ["sync:///tables/orders", "sync://host/orders", "sync://host/table/orders", "sync://host/tables", f"{ORDERS}?a=1"]
)
def test_refused(uri: str) -> None:
    """A URI without a table or a directory is refused when the DAG is parsed, with the form to use."""
    with pytest.raises(ValueError, match="Give sync://HOST/PATH/tables/NAME"):
        Asset(uri)


def test_a_table_or_a_directory() -> None:
    """An asset is a table or a directory, not both."""
    for names in ({}, {"table": "a", "directory": "b"}):
        with pytest.raises(ValueError, match="either a table or a directory"):
            create_asset(url="http://host", **names)


def test_other_schemes() -> None:
    """Assets with other schemes name no table of a server."""
    assert offered_name("s3://bucket/tables/orders") is None
