"""What PostgreSQL calls by itself may write elsewhere: functions of checks, types and indexes, and event triggers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from tests.databases.plain_role import plain_role
from tests.sync.link import Link, linked

WRITES_TO_C = "UPDATE c SET v = 3 WHERE id = 1"
WRITES_TO_NOTE = "INSERT INTO note VALUES (1)"

DEFINITIONS = {
    "check": ["ALTER TABLE a ADD CHECK (act(v)) NOT VALID"],
    "default": ["ALTER TABLE a ADD seen BOOLEAN", "ALTER TABLE a ALTER seen SET DEFAULT act(1)"],
    "generated column": ["ALTER TABLE a ADD seen BOOLEAN GENERATED ALWAYS AS (act(v)) STORED"],
    "index": ["CREATE INDEX ON a (act(v))"],
    "partial index": ["CREATE INDEX ON a (id) WHERE act(v)"],
    "exclusion": ["ALTER TABLE a ADD EXCLUDE USING btree (id WITH =, (act(v)) WITH =)"],
    "operator": [
        "CREATE FUNCTION act_two(x INTEGER, y INTEGER) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT act(x)'",
        "CREATE OPERATOR ### (LEFTARG = INTEGER, RIGHTARG = INTEGER, FUNCTION = act_two)",
        "ALTER TABLE a ADD CHECK (v ### 1) NOT VALID",
    ],
    "operator class": [
        "CREATE FUNCTION act_compare(x INTEGER, y INTEGER) RETURNS INTEGER LANGUAGE plpgsql IMMUTABLE AS"
        " 'BEGIN PERFORM act(x); RETURN x - y; END'",
        "CREATE OPERATOR CLASS acting FOR TYPE INTEGER USING btree AS"
        " OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 act_compare(INTEGER, INTEGER)",
        "CREATE INDEX ON a (v acting)",
    ],
    "domain": [
        "CREATE DOMAIN small AS INTEGER",
        "ALTER TABLE a ALTER v TYPE small",
        "ALTER DOMAIN small ADD CHECK (act(VALUE)) NOT VALID",
    ],
    "domain of a domain": [
        "CREATE DOMAIN small AS INTEGER",
        "CREATE DOMAIN smaller AS small",
        "ALTER TABLE a ALTER v TYPE smaller",
        "ALTER DOMAIN small ADD CHECK (act(VALUE)) NOT VALID",
    ],
    "domain of the key": [
        "CREATE DOMAIN small AS INTEGER",
        "ALTER TABLE a ALTER id TYPE small",
        "ALTER DOMAIN small ADD CHECK (act(VALUE)) NOT VALID",
    ],
    "default of a domain": [
        "CREATE DOMAIN yes AS BOOLEAN",
        "ALTER TABLE a ADD seen yes",
        "ALTER DOMAIN yes SET DEFAULT act(1)",
    ],
}
"""By what calls it, the statements that have the table ``a`` call the function ``act``."""

VERSION_BY_TURNS = [(calls, "12"[number % 2]) for number, calls in enumerate(DEFINITIONS)]
OTHER_VERSION = [(calls, "21"[number % 2]) for number, calls in enumerate(DEFINITIONS)]
"""How functions are found has nothing to do with the version of the protocol, so each definition meets each in one test only."""

VALUES = {
    "array": ([], "small[]", "{{{}}}"),
    "composite": (["CREATE TYPE pair AS (x small, y INTEGER)"], "pair", "({},1)"),
    "range": (["CREATE TYPE span AS RANGE (subtype = small)"], "span", "[{},9]"),
}
"""By their kind, how to make types with values of the domain ``small`` inside, their names and how their values are written."""


def make_acting(link: Link, action: str) -> None:
    """Make a function that is declared to be IMMUTABLE, and writes by way of another."""
    link.target.execute(
        "CREATE TABLE note (n INTEGER)",
        f"CREATE FUNCTION act_below(x INTEGER) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN {action}; RETURN true; END$$",
        "CREATE FUNCTION act(x INTEGER) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN act_below(x); END'",
    )


def make_tables(link: Link, column: str = "v INTEGER", value: str = "{}") -> None:
    """Make ``a``, of which one row will change, and ``c``, which stays equal."""
    rows = ", ".join(f"({number}, '{value.format(1)}')" for number in range(1, 301))
    name, sql_type = column.split()
    link.source.execute(f"CREATE TABLE a (id INTEGER PRIMARY KEY, {name} {sql_type if sql_type == 'INTEGER' else 'TEXT'})")
    link.target.execute(f"CREATE TABLE a (id INTEGER PRIMARY KEY, {column})")
    link.create(
        "CREATE TABLE c (id INTEGER PRIMARY KEY, v INTEGER)",
        f"INSERT INTO a VALUES {rows}",
        "INSERT INTO c VALUES (1, 1), (2, 1)",
    )


def change(link: Link, name: str = "v", value: str = "{}") -> None:
    """Change a row at the source, and undo what the function did while the target was made."""
    link.source.execute(
        f"UPDATE a SET {name} = '{value.format(2)}' WHERE id = 1", f"INSERT INTO a VALUES (301, '{value.format(2)}')"
    )
    link.target.execute("UPDATE c SET v = 1", "TRUNCATE note")


@pytest.fixture(params=["1", "2"], ids=["version 1", "version 2"])
def acted(request: pytest.FixtureRequest, postgresql_url: str, tmp_path: Path) -> Iterator[Link]:
    """Give a source on SQLite and a target on PostgreSQL."""
    with linked(f"sqlite:///{tmp_path / 'source.db'}", postgresql_url) as link:
        link.protocol = request.param
        yield link


@pytest.mark.parametrize(("calls", "acted"), VERSION_BY_TURNS, indirect=["acted"])
def test_functions_that_write(acted: Link, calls: str) -> None:
    """A function that writes to an equal table is noticed, whatever calls it and however it is declared."""
    make_tables(acted)
    make_acting(acted, WRITES_TO_C)
    acted.target.execute(*DEFINITIONS[calls])
    change(acted)
    before = acted.target.rows("a")

    for arguments in ({"single_transaction": True}, {"single_transaction": False}):
        with pytest.raises(SyncFailed, match=r"'c' was compared with the source already.*a function \((act|act_\w+)\)"):
            acted.sync("c", "a", **arguments)

        assert acted.target.rows("c") == acted.source.rows("c")
        assert acted.target.rows("a") == before
        acted.assert_clean()


@pytest.mark.parametrize("calls", ["check", "domain", "index"])
def test_functions_that_write_to_the_table_itself(acted: Link, calls: str) -> None:
    """A function that changes another row of the merged table is noticed, too."""
    make_tables(acted)
    make_acting(acted, WRITES_TO_NOTE)
    acted.target.execute(*DEFINITIONS[calls])
    change(acted)
    acted.target.execute(
        "CREATE OR REPLACE FUNCTION act_below(x INTEGER) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN"
        " IF current_setting('sync.acting', true) IS DISTINCT FROM 'yes' THEN PERFORM set_config('sync.acting', 'yes', true);"
        " UPDATE a SET v = 9 WHERE id = 3; END IF; RETURN true; END$$"
    )
    before = acted.target.rows("a")

    with pytest.raises(SyncFailed):
        acted.sync_one("a")

    assert acted.target.rows("a") == before
    acted.assert_clean()


@pytest.mark.parametrize(("calls", "acted"), OTHER_VERSION, indirect=["acted"])
def test_functions_that_write_elsewhere(acted: Link, calls: str) -> None:
    """A function that changes no synced table causes neither an error nor a warning."""
    make_tables(acted)
    make_acting(acted, WRITES_TO_NOTE)
    acted.target.execute(*DEFINITIONS[calls])
    change(acted)

    _, report = acted.sync("c", "a")

    assert (report.rows_inserted, report.rows_updated, report.warnings) == (1, 1, ())
    assert acted.target.rows("a", "id", "v") == acted.source.rows("a")


@pytest.mark.parametrize("calls", ["check", "domain", "index"])
def test_functions_leave_a_first_load_as_it_is(acted: Link, calls: str) -> None:
    """Rows of a first sync are loaded directly into a table that calls functions, and are verified there."""
    make_tables(acted)
    make_acting(acted, WRITES_TO_NOTE)
    acted.target.execute("TRUNCATE a", *DEFINITIONS[calls])

    report = acted.sync_one("a")

    assert report.warnings == ()
    acted.assert_equal("a")
    assert len(acted.target.rows("note")) == 300


@pytest.mark.parametrize("kind", VALUES)
def test_functions_that_write_while_rows_are_staged(acted: Link, kind: str) -> None:
    """If checks of a domain inside another type write while rows are staged, that is rolled back and refused."""
    types, name, value = VALUES[kind]
    acted.target.execute("CREATE DOMAIN small AS INTEGER", *types)
    make_tables(acted, f"v {name}", value)
    make_acting(acted, WRITES_TO_C)
    acted.target.execute("ALTER DOMAIN small ADD CHECK (act(VALUE)) NOT VALID")
    change(acted, value=value)
    before = acted.target.rows("a", "id")

    with pytest.raises(SyncFailed, match=r"'a': a function \(act\) that the type of a column calls .* writes to c\. Nothing"):
        acted.sync("c", "a")

    assert acted.target.rows("c") == acted.source.rows("c")
    assert acted.target.rows("a", "id") == before
    acted.assert_clean()


@pytest.mark.parametrize("kind", VALUES)
def test_harmless_functions_while_rows_are_staged(acted: Link, kind: str) -> None:
    """A type whose checks do not write is synced normally."""
    types, name, value = VALUES[kind]
    acted.target.execute("CREATE DOMAIN small AS INTEGER", *types)
    make_tables(acted, f"v {name}", value)
    make_acting(acted, "NULL")
    acted.target.execute("ALTER DOMAIN small ADD CHECK (act(VALUE)) NOT VALID")
    change(acted, value=value)

    report = acted.sync_one("a")

    assert (report.rows_inserted, report.rows_updated) == (1, 1)
    assert len(acted.target.rows("a", "id")) == 301


def test_values_that_a_domain_refuses(acted: Link) -> None:
    """A value that a domain's check or NOT NULL refuses is an error that names the table, and nothing is written."""
    make_tables(acted)
    acted.target.execute("CREATE DOMAIN small AS INTEGER NOT NULL CHECK (VALUE < 5)", "ALTER TABLE a ALTER v TYPE small")
    before = acted.target.rows("a")

    for value, reason in (
        (7, "value for domain small violates check constraint"),
        ("NULL", r"column 'v': .* is NOT NULL\. .* ALTER DOMAIN"),
    ):
        acted.source.execute(f"UPDATE a SET v = {value} WHERE id = 1")
        with pytest.raises(SyncFailed, match=rf"Table 'a'.*{reason}"):
            acted.sync_one("a")
        assert acted.target.rows("a") == before
        acted.assert_clean()


EVENTS = {
    "row trigger": "CREATE TRIGGER act BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION act()",
    "trigger that always fires": "CREATE TRIGGER act AFTER INSERT ON %1$s EXECUTE FUNCTION act();"
    " ALTER TABLE %1$s ENABLE ALWAYS TRIGGER act",
    "rule": f"CREATE RULE act AS ON INSERT TO %s DO ALSO {WRITES_TO_C}",
    "column": "ALTER TABLE %s ADD made_at TIMESTAMP NOT NULL DEFAULT now()",
    "policy": "ALTER TABLE %1$s ENABLE ROW LEVEL SECURITY; ALTER TABLE %1$s FORCE ROW LEVEL SECURITY",
}
"""What event triggers do to a new table."""


def watch_tables(link: Link, statement: str, tag: str = "CREATE TABLE") -> None:
    """Make an event trigger that runs a statement for each new table."""
    link.target.execute(
        f"CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {WRITES_TO_C}; RETURN NEW; END$$",
        "CREATE FUNCTION each_table() RETURNS event_trigger LANGUAGE plpgsql AS $$DECLARE made record; BEGIN"
        " FOR made IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table' LOOP"
        f" EXECUTE format('{statement}', made.object_identity); END LOOP; END$$",
        f"CREATE EVENT TRIGGER each_table ON ddl_command_end WHEN TAG IN ('{tag}') EXECUTE FUNCTION each_table()",
    )


@pytest.mark.parametrize("does", EVENTS)
def test_event_triggers(acted: Link, does: str) -> None:
    """Objects that an event trigger adds to new tables are not on the sync's own tables."""
    make_tables(acted)
    watch_tables(acted, EVENTS[does])
    acted.source.execute("UPDATE a SET v = 2 WHERE id = 1", "INSERT INTO a VALUES (301, 1)", "DELETE FROM a WHERE id = 2")

    acted.sync("c", "a")

    acted.assert_equal("a")
    acted.assert_equal("c")


def test_event_triggers_that_insist(acted: Link) -> None:
    """An event trigger that prevents their removal is named before a row is read."""
    make_tables(acted)
    acted.source.execute("UPDATE a SET v = 2 WHERE id = 1")
    watch_tables(acted, EVENTS["row trigger"].replace("CREATE", "CREATE OR REPLACE"))
    acted.target.execute(
        "CREATE EVENT TRIGGER again ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION each_table()",
    )
    before = acted.target.rows("a")

    with pytest.raises(SyncFailed, match=r"event triggers .* could not undo this: DISABLE TRIGGER act\. Nothing.*'_sync"):
        acted.sync("c", "a")

    assert acted.target.rows("a") == before
    acted.assert_clean()


def test_event_triggers_that_give_tables_away(postgresql_url: str, tmp_path: Path) -> None:
    """An event trigger that gives new tables to a foreign role is named before a row is read."""
    source_url = f"sqlite:///{tmp_path / 'source.db'}"
    with (
        linked(source_url, postgresql_url) as admin,
        plain_role(postgresql_url) as url,
        linked(source_url, url) as link,
    ):
        make_tables(admin)
        admin.source.execute("UPDATE a SET v = 2 WHERE id = 1")
        watch_tables(admin, "ALTER TABLE %s OWNER TO CURRENT_USER")
        admin.target.execute("ALTER FUNCTION each_table() SECURITY DEFINER")

        with pytest.raises(SyncFailed, match=r"could not undo this: OWNER TO sync_plain_\w+\. Nothing was changed"):
            link.sync("c", "a")

        assert admin.target.rows("a", "id", "v")[0] == (1, 1)
