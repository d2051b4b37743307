"""Clients of a server that wants certificates: commands, and the client by itself."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_sync.cli.main import main
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.exceptions import ConfigurationError, TransportError
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.process.certificates import DAY, Authority

TOKEN = "a-secret-token-of-the-tests"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Have an authority."""
    return Authority(tmp_path)


@pytest.fixture
def url(tmp_path: Path, authority: Authority) -> Iterator[str]:
    """Give a server that offers a file to clients with a certificate and a token."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_text("a")
    tls = {"certificate": str(authority.sign("server")), "client_authorities": str(authority.path)}
    directories = {"images": {"path": str(tmp_path / "images")}}
    with RunningServer(ServerConfig.from_dict({"tokens": [TOKEN], "tls": tls, "directories": directories})) as server:
        yield server.url


def test_pull(url: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``pull`` shows its certificate and checks the server's; it still needs the token."""
    target = tmp_path / "copies"
    command = ["pull", url, "images", str(target), "--verify", str(authority.path)]
    monkeypatch.setenv("SYNC_TOKEN", "wrong-token")
    assert main([*command, "--certificate", str(authority.sign("client"))]) == 3
    assert not target.exists()
    monkeypatch.setenv("SYNC_TOKEN", TOKEN)
    assert main([*command, "--certificate", str(authority.sign("client"))]) == 0
    assert (target / "a.png").read_text() == "a"


def test_init(url: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``init`` reaches the server by the certificates that it is given, and writes their absolute paths."""
    monkeypatch.setenv("SYNC_TOKEN", TOKEN)
    monkeypatch.setenv("TARGET_URL", "sqlite://")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    command = ["init", "--client", url, "--verify", f"../{authority.path.name}"]
    assert main(command) != 0
    assert not Path("client.yaml").exists()
    assert main([*command, "--certificate", f"../{authority.sign('client').name}"]) == 0
    monkeypatch.chdir("/")
    assert main(["run", "--config", str(here / "client.yaml")]) == 0
    assert (here / "images" / "a.png").read_text() == "a"


def test_run(url: str, authority: Authority, tmp_path: Path) -> None:
    """``client.yaml`` names the certificate and the key, in two files."""
    whole = authority.sign("client").read_text()
    end = whole.index("-----BEGIN PRIVATE")
    (tmp_path / "client.crt").write_text(whole[:end])
    (tmp_path / "client.key").touch(mode=0o600)
    (tmp_path / "client.key").write_text(whole[end:])
    config = tmp_path / "client.yaml"
    config.write_text(
        f"url: {url}\ntoken: {TOKEN}\nverify: {authority.path}\ncertificate: {tmp_path}/client.crt\nkey: {tmp_path}/client.key\n"
        f"directories: {{images: {{path: {tmp_path}/copies}}}}\n"
    )
    assert main(["run", "--config", str(config)]) == 0
    assert (tmp_path / "copies" / "a.png").read_text() == "a"


def test_without_a_certificate(url: str, authority: Authority) -> None:
    """A missing certificate, a foreign one and an unknown authority each have an error that names the cause."""
    stranger = str(Authority(authority.path.parent, "other").sign("stranger"))
    for certificate in (None, stranger):
        with (
            SyncClient(url, token=TOKEN, retries=0, verify=str(authority.path), certificate=certificate) as client,
            pytest.raises(TransportError, match="wants a certificate of its clients, give one that it accepts as `certificate`"),
        ):
            client.capabilities()
    with SyncClient(url, token=TOKEN, retries=0) as client, pytest.raises(ConfigurationError, match="is not trusted"):
        client.capabilities()


@pytest.mark.parametrize(
    ("ends_in", "host", "message"),
    [
        (-DAY, "127.0.0.1", "certificate has expired. Have it renewed at the server."),
        (DAY, "127.0.0.2", "not valid for '127.0.0.2'. Give a URL with a name that it is for."),
    ],
)
def test_a_server_with_a_wrong_certificate(
    tmp_path: Path, authority: Authority, ends_in: timedelta, host: str, message: str
) -> None:
    """The error about an expired certificate, or one for another name, says what to do."""
    config = ServerConfig.from_dict({"tokens": [TOKEN], "tls": {"certificate": str(authority.sign("server", ends_in=ends_in))}})
    with (
        RunningServer(config, host=host) as server,
        SyncClient(server.url, token=TOKEN, retries=0, verify=str(authority.path)) as client,
        pytest.raises(ConfigurationError, match=re.escape(message)),
    ):
        client.capabilities()


def test_files_that_cannot_be_used(authority: Authority) -> None:
    """Unusable certificate files are an error before anything is sent."""
    good, open_key = authority.sign("good"), authority.sign("open")
    open_key.chmod(0o644)
    closed = authority.sign("closed", password=b"secret")
    missing = authority.path.parent / "none.pem"
    for certificate, key, message in (
        (open_key, None, "key: every user of this machine can read or change .*open.pem.* chmod o= "),
        (good, open_key, "key: every user of this machine"),
        (missing, None, "certificate: cannot read .*none.pem: No such file"),
        (good, missing, "key: cannot read .*none.pem: No such file"),
        (good, authority.sign("other"), "certificate: .*good.pem and .*other.pem: .*mismatch"),
        (closed, None, "key: the key in .*closed.pem has a password"),
        (None, good, "A key is given without a certificate"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            SyncClient("https://source.example", certificate=certificate and str(certificate), key=key and str(key))


@pytest.mark.parametrize("kept", [40, None])
def test_a_key_in_place_of_its_path(authority: Authority, kept: int | None) -> None:
    """A private key that is given itself, and not by its path, is not repeated, not even by the cause of the error."""
    good = authority.sign("good")
    content = "".join(good.read_text().partition("-----BEGIN PRIVATE KEY-----")[1:])[:kept]
    for certificate, key in ((content, None), (str(good), content)):
        with pytest.raises(ConfigurationError, match="Save it to a file, and give the path") as caught:
            SyncClient("https://source.example", certificate=certificate, key=key)
        assert content[30:40] not in "".join(traceback.format_exception(caught.value))
