"""What a client says when a server refuses: the token, the name, the request, or the address."""

from __future__ import annotations

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import ServerError
from tests.client.scripted_server import ScriptedServer, recorded, recorded_names, reply

_HTML = b"<!DOCTYPE html><html><title>Log in</title></html>"


@pytest.mark.parametrize("name", recorded_names("/getTableHash", 401))
def test_a_refused_token_is_said(server: ScriptedServer, client: SyncClient, name: str) -> None:
    """A wrong token is a permanent error that does not repeat the token."""
    server.answer(recorded(name))
    with pytest.raises(ServerError, match="Check the token") as caught:
        client.get_table_hash("orders")
    assert not caught.value.retryable
    assert "secret" not in str(caught.value)


def test_a_missing_token_is_said(server: ScriptedServer) -> None:
    """The error for a client without a token says where to set one."""
    server.answer(recorded("auth_none_json"))
    with SyncClient(server.url, retries=0) as client, pytest.raises(ServerError, match="sent no token, and no login") as caught:
        client.get_table_hash("orders")
    assert "Check the token" not in str(caught.value)


@pytest.mark.parametrize("status", [401, 429, 502, 503, 504])
@pytest.mark.parametrize("body", [b'{"message": "The database is down."}', b"<html>"], ids=["a reason", "none"])
def test_what_is_about_the_server_names_no_table(server: ScriptedServer, client: SyncClient, status: int, body: bytes) -> None:
    """An error that is the same for every table has the same message, so that it is shown once."""
    server.answer(reply(status, body), reply(status, body))
    messages = []
    for name in ("orders", "customers"):
        with pytest.raises(ServerError) as caught:
            client.get_table(name)
        messages.append(str(caught.value))
        assert not caught.value.of_table
    assert messages[0] == messages[1]


def test_a_locked_table_is_named(server: ScriptedServer, client: SyncClient) -> None:
    """If the reason is the table, the error names it and says that other tables may be requested."""
    server.answer(reply(503, b'{"message": "Timed out waiting for a lock.", "of_table": true}'))
    with pytest.raises(ServerError, match="status 503 for table 'orders': Timed out") as caught:
        client.get_table("orders")
    assert caught.value.of_table


def test_an_unknown_name_is_said(server: ScriptedServer, client: SyncClient) -> None:
    """The error names the table or directory that the server does not offer."""
    server.answer(recorded("table_unknown"), recorded("filehashes_table_name"))
    with pytest.raises(ServerError, match=r"does not offer a table 'nope'\. Check the name"):
        client.get_table("nope")
    with pytest.raises(ServerError, match=r"does not offer a directory 'nope'\. Check the name"):
        client.get_file_hashes("nope")


def test_an_unknown_name_is_answered_with_the_one_that_is_like_it(server: ScriptedServer, client: SyncClient) -> None:
    """If the offered names are known, the error has the name that was probably meant."""
    offered = b'{"protocol": 2, "tables": {"orders": []}, "directories": ["images"]}'
    server.answer(reply(200, offered), recorded("table_unknown"), recorded("filehashes_table_name"), recorded("table_unknown"))
    client.capabilities()
    with pytest.raises(ServerError, match=r"does not offer a table 'ordrs'\. Did you mean 'orders'\?$"):
        client.get_table("ordrs")
    with pytest.raises(ServerError, match=r"does not offer a directory 'imgaes'\. Did you mean 'images'\?$"):
        client.get_file_hashes("imgaes")
    with pytest.raises(ServerError, match=r"does not offer a table 'images'\. Check the name"):
        client.get_table("images")


def test_a_name_that_is_no_longer_offered(server: ScriptedServer, client: SyncClient) -> None:
    """If the server stops offering a table during a run, the error says so, instead of proposing the same name."""
    server.answer(reply(200, b'{"protocol": 2, "tables": {"orders": []}, "directories": []}'), recorded("table_unknown"))
    client.capabilities()
    with pytest.raises(ServerError, match=r"no longer offers a table 'orders': its configuration, or what the token may see"):
        client.get_table("orders")


@pytest.mark.parametrize("name", recorded_names("/getFiles", 422))
def test_recorded_validation_errors_are_one_line(server: ScriptedServer, client: SyncClient, name: str) -> None:
    """A validation error of the server is one line, and permanent."""
    server.answer(recorded(name))
    with pytest.raises(ServerError, match="field") as caught:
        client.get_files("images", ["a.txt"])
    assert "\n" not in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize(("status", "advice"), [(404, "There is nothing at"), (405, "does not take POST")])
def test_a_wrong_url_is_said(server: ScriptedServer, client: SyncClient, status: int, advice: str) -> None:
    """A URL that is not a sync server's is an error about the URL."""
    server.answer(reply(status, _HTML, kind="text/html"))
    with pytest.raises(ServerError, match=f"{advice}.*Check the URL") as caught:
        client.get_table_hash("orders")
    assert not caught.value.retryable


def test_a_proxy_that_wants_a_password(server: ScriptedServer, client: SyncClient) -> None:
    """A proxy that refuses the client is not reported as a failure of the server."""
    server.answer(reply(407))
    with pytest.raises(ServerError, match=r"The proxy before .* wants a user and a password") as caught:
        client.get_table_hash("orders")
    assert not caught.value.retryable
