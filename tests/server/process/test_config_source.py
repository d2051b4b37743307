"""Where the next configuration of a server comes from, without a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.server.process.config_source import ConfigSource
from airflow_provider_sync.server.process.watched_files import WatchedFiles
from tests.server.process.certificates import DAY, Authority


def test_a_file_is_left_to_settle(tmp_path: Path) -> None:
    """A change, a new file or a removed one is reported once, at the first look without a further change."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("1")
    files = WatchedFiles([first, second])
    assert not files.changed()
    first.write_text("22")
    assert not files.changed()
    second.write_text("1")
    assert not files.changed()
    assert files.changed()
    assert not files.changed()
    first.unlink()
    assert [files.changed() for _ in range(3)] == [False, True, False]


def test_what_cannot_be_read_is_refused_once(caplog: pytest.LogCaptureFixture) -> None:
    """A wrong configuration is logged in one line and read again only after a request."""
    first = ServerConfig()

    def read() -> ServerConfig:
        raise ConfigurationError("It is\nwrong.")

    source = ConfigSource(first, read, lambda _: None)
    assert not source.wants_reload()
    source.request_reload()
    assert source.wants_reload()
    assert source.next() is None
    assert caplog.messages == ["The configuration was not reloaded, and the old one stays in use: It is wrong."]
    assert not source.wants_reload()
    assert source.config is first


def test_an_error_that_nobody_expected(caplog: pytest.LogCaptureFixture) -> None:
    """After any error in reading the configuration, the server logs it, runs on and reads the next one."""
    configs = [ServerConfig()]

    def read() -> ServerConfig:
        return configs.pop()

    source = ConfigSource(configs.pop(), read, lambda _: None)
    source.request_reload()
    assert source.next() is None
    assert caplog.messages == ["The configuration was not reloaded, and the old one stays in use: pop from empty list"]
    configs.append(ServerConfig.from_dict({"tokens": ["next"]}))
    source.request_reload()
    assert source.next() == ServerConfig.from_dict({"tokens": ["next"]})


def test_what_this_server_cannot_have_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """A configuration that does not fit the server's address is refused as a whole."""

    def check(config: ServerConfig) -> None:
        if not config.tokens:
            raise ConfigurationError("Set tokens.")

    source = ConfigSource(ServerConfig.from_dict({"tokens": ["t"]}), ServerConfig, check)
    source.request_reload()
    assert source.next() is None
    assert "Set tokens." in caplog.text


def test_what_needs_a_restart_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """A new place or form of the log refuses the whole file; logging of requests may be switched."""
    texts = [{"log": {"access": False}}, {"log": {"level": "debug"}}]
    source = ConfigSource(ServerConfig(), lambda: ServerConfig.from_dict(texts.pop()), lambda _: None)
    source.request_reload()
    assert source.next() is None
    assert caplog.messages == [
        "The configuration was not reloaded, and the old one stays in use: log was changed. Restart the server for that."
    ]
    source.request_reload()
    assert source.next() == ServerConfig.from_dict({"log": {"access": False}})


def test_a_changed_file_that_was_told_of(tmp_path: Path) -> None:
    """A watched file whose change is also signalled is read once, and again after the next change."""
    path = tmp_path / "server.yaml"
    path.write_text("1")
    source = ConfigSource(ServerConfig(), ServerConfig, lambda _: None, watch=path)
    path.write_text("22")
    source.request_reload()
    assert source.wants_reload()
    assert source.next() is not None
    assert [source.wants_reload() for _ in range(3)] == [False, False, False]
    path.write_text("333")
    assert [source.wants_reload() for _ in range(3)] == [False, True, True]


def test_a_renewed_certificate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A renewed certificate sets up the same configuration again; one that does not fit keeps the old one."""
    authority = Authority(tmp_path)
    path = authority.sign("server")
    config = ServerConfig.from_dict({"tls": {"certificate": str(path)}})
    source = ConfigSource(config, lambda: pytest.fail("The configuration was not to be read."), lambda _: None)
    authority.sign("server")
    assert [source.wants_reload() for _ in range(3)] == [False, True, False]
    assert source.next() is config
    path.write_text("torn")
    assert [source.wants_reload() for _ in range(2)] == [False, True]
    assert source.next() is None
    assert "The certificate was not reloaded, and the old one stays in use: tls.certificate: " in caplog.text


def test_a_certificate_that_has_ended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An expired certificate is logged in one line until another one is in use."""
    authority = Authority(tmp_path)
    ended = {"tls": {"certificate": str(authority.sign("server", ends_in=-DAY))}}
    source = ConfigSource(ServerConfig.from_dict(ended), ServerConfig, lambda _: None)
    for _ in range(3):
        assert not source.wants_reload()
    assert caplog.text.count("clients refuse it. Renew it.") == 1
    source.use(ServerConfig.from_dict(ended))
    source.wants_reload()
    assert caplog.text.count("clients refuse it. Renew it.") == 2
    source.use(ServerConfig.from_dict({"tls": {"certificate": str(authority.sign("server"))}}))
    source.wants_reload()
    assert caplog.text.count("clients refuse it. Renew it.") == 2
