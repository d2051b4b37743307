"""A file of the other kind is called what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.config import ClientConfig, ServerConfig
from airflow_provider_sync.config.mistakes import WrongOptions
from airflow_provider_sync.exceptions import ConfigurationError

OF_SERVER = "connections: {shop: 'sqlite://'}\ntokens: [secret]\ntables: {orders: {}}\n"
OF_CLIENT = "url: http://source.example\nconnections: {shop: 'sqlite://'}\ntables: {orders: {}}\n"


@pytest.mark.parametrize(("kind", "other", "text"), [("server", "client", OF_CLIENT), ("client", "server", OF_SERVER)])
def test_the_other_kind(kind: str, other: str, text: str, tmp_path: Path) -> None:
    """A file of the other kind gets one sentence that says which file it is and which one is needed."""
    path = tmp_path / "sync.yaml"
    path.write_text(text)
    model = ServerConfig if kind == "server" else ClientConfig
    with pytest.raises(ConfigurationError) as refused:
        model.from_yaml(path)
    assert str(refused.value) == f"{path} has the options of a {other}.yaml. Give the path of a {kind}.yaml instead."


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (ServerConfig, OF_CLIENT + "tokens: [secret]\n"),
        (ServerConfig, OF_CLIENT + "tabels: {}\n"),
        (ServerConfig, "tables: {orders: {}}\n"),
        (ClientConfig, "tables: {orders: {}}\n"),
    ],
)
def test_either_kind(model: type[ServerConfig | ClientConfig], text: str, tmp_path: Path) -> None:
    """If the options do not show the kind, the mistakes are reported."""
    (tmp_path / "sync.yaml").write_text(text)
    with pytest.raises(WrongOptions):
        model.from_yaml(tmp_path / "sync.yaml")
