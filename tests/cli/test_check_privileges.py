"""``check --connect`` says which privileges on a target table its user lacks, with the GRANT that gives them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import yaml
from sqlalchemy import make_url

from tests.cli.conftest import Command
from tests.cli.site import Site
from tests.cli.test_check import results
from tests.databases.limited_user import user_with
from tests.scenario import Scenario, opened

Check = Callable[..., tuple[str, str]]

ORDERS = "CREATE TABLE orders (id {} PRIMARY KEY, name VARCHAR(50) NOT NULL)"


@pytest.fixture
def outcome(site: Site, command: Command, capsys: pytest.CaptureFixture[str]) -> Check:
    """Give a function that checks one table of a target, and returns its mark and message."""
    server = yaml.safe_load(site.config.read_text(encoding="utf-8"))["url"]

    def check(url: str, **options: object) -> tuple[str, str]:
        site.configure(server, connections={"local": url}, tables={"orders": options}, directories={})
        command("check", "--connect")
        return results(capsys.readouterr().out)["table", "orders"]

    return check


@contextmanager
def postgresql_role(url: str) -> Iterator[tuple[Scenario, str]]:
    """Make a role that may only make tables of its own; give an administrator, and the URL with which the role connects."""
    role = f"sync_checked_{secrets.token_hex(4)}"
    with opened(url) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'", f"GRANT CREATE ON SCHEMA public TO {role}")
        try:
            yield admin, make_url(url).set(username=role, password="p").render_as_string(hide_password=False)
        finally:
            admin.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def grants_of(message: str) -> list[str]:
    """Return the statements that a message advises."""
    return re.findall(r"GRANT [^;]+?(?=;|\.$)", message)


def test_postgresql(postgresql_url: str, outcome: Check) -> None:
    """Missing privileges on the table and its sequence are named; with the statements that the message shows, all is well."""
    with postgresql_role(postgresql_url) as (admin, url):
        user = make_url(url).username
        admin.execute(ORDERS.format("bigserial"), f"GRANT SELECT, UPDATE ON orders TO {user}")
        assert outcome(url, mode="append") == (
            "FAILED",
            "The user of this connection lacks privileges that a run needs:"
            f" GRANT INSERT ON orders TO {user}; GRANT SELECT, UPDATE ON SEQUENCE orders_id_seq TO {user}.",
        )
        mark, message = outcome(url)
        assert (mark, grants_of(message)[0]) == ("FAILED", f"GRANT INSERT, DELETE ON orders TO {user}")
        admin.execute(*grants_of(message))
        assert outcome(url)[0] == "ok"


def test_postgresql_columns_and_roles(postgresql_url: str, outcome: Check) -> None:
    """Privileges on columns, and those of a role whose member the user is, count."""
    with postgresql_role(postgresql_url) as (admin, url), postgresql_role(postgresql_url) as (_, group):
        user, of = make_url(url).username, make_url(group).username
        admin.execute(
            ORDERS.format("bigint"),
            f"GRANT SELECT, INSERT (id, name), UPDATE (name) ON orders TO {user}",
            f"GRANT DELETE ON orders TO {of}",
            f"GRANT {of} TO {user}",
        )
        assert outcome(url)[0] == "ok"


@pytest.mark.parametrize("engine", ["mariadb", pytest.param("mysql", marks=pytest.mark.slow)])
def test_mysql(request: pytest.FixtureRequest, engine: str, outcome: Check) -> None:
    """Missing privileges on the table are named; with the statement that the message shows, all is well."""
    server = str(request.getfixturevalue(f"{engine}_url"))
    with opened(server) as admin, user_with(server, "CREATE, CREATE TEMPORARY TABLES, DROP") as url:
        parsed = make_url(url)
        admin.execute(ORDERS.format("bigint"))
        for host in ("localhost", "%"):
            admin.execute(f"GRANT SELECT, UPDATE (name) ON orders TO '{parsed.username}'@'{host}'")
        assert "GRANT INSERT ON" in outcome(url, mode="append")[1]
        mark, message = outcome(url)
        [grant] = grants_of(message)
        place = rf"`{parsed.database}`\.`orders` TO '{parsed.username}'@'(localhost|%)'"
        assert (mark, re.fullmatch(rf"GRANT INSERT, DELETE ON {place}", grant) is not None) == ("FAILED", True), message
        admin.execute(grant.replace("%", "%%"))
        mark, message = outcome(url)
        assert mark == "ok", message
        assert admin.rows("orders") == []


def test_postgresql_places(postgresql_url: str, outcome: Check) -> None:
    """A role that may write the table, but not make staging and temporary tables, is told so before its first merge fails."""
    with postgresql_role(postgresql_url) as (admin, url):
        parsed = make_url(url)
        admin.execute(
            "CREATE SCHEMA app",
            "CREATE TABLE app.orders (id bigint PRIMARY KEY, name text)",
            f"GRANT USAGE ON SCHEMA app TO {parsed.username}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON app.orders TO {parsed.username}",
            f"REVOKE TEMPORARY ON DATABASE {parsed.database} FROM PUBLIC",
        )
        temporary = f"GRANT TEMPORARY ON DATABASE {parsed.database} TO {parsed.username}"
        mark, message = outcome(url, table="app.orders")
        assert (mark, grants_of(message)) == ("FAILED", [f"GRANT CREATE ON SCHEMA app TO {parsed.username}", temporary])
        mark, message = outcome(url, table="app.orders", staging="temporary")
        assert (mark, grants_of(message)) == ("FAILED", [temporary])
        admin.execute(temporary)
        assert outcome(url, table="app.orders", staging="temporary")[0] == "ok"


@pytest.mark.parametrize("engine", ["mariadb", pytest.param("mysql", marks=pytest.mark.slow)])
def test_mysql_places(request: pytest.FixtureRequest, engine: str, outcome: Check) -> None:
    """A user who may write the table, but not make staging and temporary tables, is told so, and no table is made or dropped."""
    server = str(request.getfixturevalue(f"{engine}_url"))
    with opened(server) as admin, user_with(server, "SELECT, INSERT, UPDATE, DELETE") as url:
        admin.execute(ORDERS.format("bigint"))
        mark, message = outcome(url)
        [grant] = grants_of(message)
        database = make_url(url).database
        assert (mark, f"GRANT CREATE TEMPORARY TABLES, CREATE, DROP ON `{database}`.* TO" in grant) == ("FAILED", True), message
        mark, message = outcome(url, staging="temporary")
        assert (mark, f"GRANT CREATE TEMPORARY TABLES ON `{database}`.* TO" in message) == ("FAILED", True), message
        admin.execute(grant.replace("%", "%%"))
        mark, message = outcome(url)
        assert mark == "ok", message
        assert admin.scalar("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()") == 1


def test_no_users(site: Site, outcome: Check) -> None:
    """Databases without users lack nothing."""
    assert outcome(f"sqlite:///{site.target}")[0] == "ok"
