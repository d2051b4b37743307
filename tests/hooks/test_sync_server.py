"""The hook against a real server, and the form that makes its connection."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_sync.config.tls import ServerTLS
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.hooks.sync_server import SyncServerHook
from airflow_provider_sync.provider_info import get_provider_info
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.airflow_runs import AIRFLOW_VERSION, in_any_process
from tests.server.process.certificates import Authority
from tests.source_server import TOKEN, Source


def test_tables(source: Source) -> None:
    """The hook's methods for tables return the values of the protocol."""
    hook = SyncServerHook()
    digest = hook.get_table_hash("orders")
    assert len(digest) == 40
    assert hook.get_table("orders", digest) is None
    answer = hook.get_table("orders")
    assert answer is not None
    with answer:
        rows = [row for batch in answer for row in batch]
    assert [row[0] for row in rows] == [1, 2, 3]


def test_files(source: Source) -> None:
    """The hook's methods for files return the values of the protocol."""
    hook = SyncServerHook()
    assert set(hook.get_file_hashes("images")) == {"one.txt", "deep/two.pdf"}
    with hook.get_files("images", ["one.txt"]) as frames:
        assert [(frame.path, b"".join(frame.chunks)) for frame in frames] == [("one.txt", b"one of images")]


def test_connection_id(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook uses the given connection, which Airflow passes as ``sync_conn_id``."""
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps({"conn_type": "sync", "host": source.url, "password": TOKEN}))
    hook: Any = BaseHook.get_hook("other")
    assert isinstance(hook, SyncServerHook)
    assert hook.sync_conn_id == "other"
    with hook.get_client() as client:
        client.ping()


def test_test_connection(source: Source) -> None:
    """A test of the connection says where a server answers."""
    assert SyncServerHook().test_connection() == (True, f"A sync server answers at {source.url}.")


def test_test_connection_with_a_wrong_token(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test with a wrong token fails and says so, without the token."""
    wrong = json.dumps({"conn_type": "sync", "host": source.url, "password": "a-wrong-token"})
    monkeypatch.setenv("AIRFLOW_CONN_SYNC_DEFAULT", wrong)
    works, message = SyncServerHook().test_connection()
    assert not works
    assert "401" in message
    assert "a-wrong-token" not in message


def test_test_connection_without_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test fails with a message if no server answers, or if the connection is wrong."""
    monkeypatch.setenv("AIRFLOW_CONN_SYNC_DEFAULT", json.dumps({"conn_type": "sync", "host": "http://127.0.0.1:1"}))
    assert SyncServerHook().test_connection()[0] is False
    monkeypatch.setenv("AIRFLOW_CONN_SYNC_DEFAULT", json.dumps({"conn_type": "sync"}))
    works, message = SyncServerHook().test_connection()
    assert (works, "has no host" in message) == (False, True)


def test_wrong_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong connection is refused before anything is sent."""
    wrong = json.dumps({"conn_type": "sync", "host": "http://127.0.0.1:1", "extra": {"timeout": "soon"}})
    monkeypatch.setenv("AIRFLOW_CONN_SYNC_DEFAULT", wrong)
    with pytest.raises(ConfigurationError, match="'timeout' is 'soon'"):
        SyncServerHook().get_client()


def test_secrets_stay_secret(source: Source, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the token nor the value of a header is in the log, at any level, or in the printed configuration."""
    secrets = {"X-Key": "key-in-a-header"}
    monkeypatch.setenv(
        "AIRFLOW_CONN_SYNC_DEFAULT",
        json.dumps({"conn_type": "sync", "host": source.url, "password": TOKEN, "extra": {"headers": secrets}}),
    )
    hook = SyncServerHook()
    with caplog.at_level(logging.DEBUG):
        hook.get_table_hash("orders")
        hook.log.info("config: %r, client: %r", hook.get_config(), hook.get_conn())
    for secret in (TOKEN, "key-in-a-header"):
        assert secret not in caplog.text


@pytest.mark.skipif(AIRFLOW_VERSION < (3, 2), reason="Airflow 3.1 asks the hook")
def test_form_of_new_airflow() -> None:
    """Airflow 3.2 and newer show the fields of the form from the metadata."""
    (form,) = [meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "sync"]
    assert form.standard_fields is not None
    assert form.standard_fields.host is not None
    assert form.standard_fields.host.title == "Base URL"
    assert form.extra_fields is not None
    assert set(form.extra_fields) == {"timeout", "verify", "headers", "protocol", "retries", "time_zone"}


def test_form_of_old_airflow(form_stand_ins: None) -> None:
    """Airflow 3.1 gets the same fields from the methods of the hook."""
    widgets = SyncServerHook.get_connection_form_widgets()
    described = get_provider_info()["connection-types"][0]
    assert list(widgets) == list(described["conn-fields"])
    assert {name: widget.param.dump()["value"] for name, widget in widgets.items()} == {
        name: field["schema"].get("default") for name, field in described["conn-fields"].items()
    }
    behaviour = SyncServerHook.get_ui_field_behaviour()
    assert behaviour["relabeling"] == described["ui-field-behaviour"]["relabeling"]
    assert set(behaviour) == {"hidden_fields", "relabeling", "placeholders"}


@in_any_process
@pytest.mark.parametrize("text", ['{"conn_type": "sync", "password": "a"', "sync://http://:a/b@source.example:80"])
def test_unreadable_connection(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment variable that Airflow ignores because it cannot read it is named."""
    monkeypatch.setenv("AIRFLOW_CONN_ODD", text)
    with pytest.raises(ConfigurationError, match=r"AIRFLOW_CONN_ODD is no connection that Airflow can read\..*percent-encode"):
        SyncServerHook("odd").get_config()


@in_any_process
def test_missing_connection() -> None:
    """A connection that does not exist is named, in a task and in an event loop."""
    hook = SyncServerHook("nowhere")
    with pytest.raises(ConfigurationError, match=r"no connection 'nowhere'.*type 'Sync server'"):
        hook.get_config()
    with pytest.raises(ConfigurationError, match="no connection 'nowhere'"):
        asyncio.run(hook.aget_config())
    assert hook.test_connection()[0] is False


def test_a_server_that_wants_certificates(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection with a certificate in its extra is accepted; without it, its test says what is missing."""
    authority = Authority(tmp_path)
    tls = {"certificate": str(authority.sign("server")), "client_authorities": str(authority.path)}
    config = source.config.model_copy(update={"tls": ServerTLS.from_dict(tls)})
    with RunningServer(config) as server:
        extra = {"verify": str(authority.path), "certificate": str(authority.sign("client"))}
        connection = {"conn_type": "sync", "host": server.url, "password": TOKEN, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SYNC_DEFAULT", json.dumps(connection))
        assert SyncServerHook().test_connection() == (True, f"A sync server answers at {server.url}.")
        del extra["certificate"]
        monkeypatch.setenv("AIRFLOW_CONN_SYNC_DEFAULT", json.dumps(connection))
        works, message = SyncServerHook().test_connection()
        assert not works
        assert "give one that it accepts as `certificate` and `key`" in message
