"""``check --connect`` finds what version 1 of the protocol cannot do for a configuration."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.cli.conftest import Command
from tests.cli.site import Site
from tests.cli.test_check import results


@pytest.mark.parametrize("target", ["target.db", "new.db"])
def test_a_table_that_version_1_cannot_make(
    site: Site, command: Command, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    """A missing target fails even with ``create_table``, because a server of version 1 sends no types."""
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    tables = {"orders": {"table": "copies", "create_table": True}}
    connections = {"local": f"sqlite:///{site.folder / target}"}
    site.configure(settings["url"], protocol=1, connections=connections, tables=tables, directories={})
    assert command("check", "--connect") == 3
    mark, message = results(capsys.readouterr().out)["table", "orders"]
    assert (mark, message.partition(",")[0]) == ("FAILED", "There is no such table")


@pytest.mark.parametrize("option", ["backup", "atomic"])
@pytest.mark.parametrize("protocol", [1, "auto"])
def test_what_version_1_does_not_protect(
    site: Site, command: Command, capsys: pytest.CaptureFixture[str], option: str, protocol: str | int
) -> None:
    """An option that a run refuses with version 1 fails with such a server, but not with version 2."""
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    options = {"backup": {"backup": str(site.folder / "backup")}, "atomic": {"atomic": True}}[option]
    directories = {"images": {"path": str(site.folder / "images"), **options}}
    site.configure(settings["url"], protocol=protocol, tables={}, directories=directories)
    assert command("check", "--connect") == (3 if protocol == 1 else 0)
    mark, message = results(capsys.readouterr().out)["directory", "images"]
    assert mark == ("FAILED" if protocol == 1 else "ok")
    assert (f"{option} needs version 2 of the protocol" in message) == (protocol == 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": ["id", "1", "2"]}, "a window needs version 2 of the protocol"),
        ({"hasher": "nowhere.Hasher"}, "hasher is 'nowhere.Hasher', which cannot be made"),
    ],
    ids=["window", "hasher"],
)
def test_a_table_that_version_1_cannot_sync(
    site: Site, command: Command, capsys: pytest.CaptureFixture[str], options: dict[str, Any], message: str
) -> None:
    """An option of a table that a run refuses with version 1 fails with such a server, but not with version 2."""
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    for protocol in (1, "auto"):
        site.configure(settings["url"], protocol=protocol, tables={"orders": options}, directories={})
        command("check", "--connect")
        mark, found = results(capsys.readouterr().out)["table", "orders"]
        assert mark == ("FAILED" if protocol == 1 else "ok")
        assert (message in found) == (protocol == 1)


def test_a_snapshot_that_version_1_cannot_hold(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """``consistent`` fails with a server of version 1, as a run with it does."""
    settings = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    site.configure(settings["url"], protocol=1, consistent=True, directories={})
    assert command("check", "--connect") == 3
    (mark, message) = next(result for (what, _), result in results(capsys.readouterr().out).items() if what == "server")
    assert (mark, "leave consistent out" in message) == ("FAILED", True)
