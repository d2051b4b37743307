"""If a role may not switch PostgreSQL's foreign keys off, none of their actions touches a row that must not change."""

from __future__ import annotations

import pytest

from airflow_provider_sync.exceptions import ReferencedRowsError, TableError
from tests.every_pair import every_pair
from tests.merge.conftest import NOTES, ROWS, Target

KEPT = [(1, "a"), (2, "b"), (3, "c")]

OTHERS = ("SET DEFAULT", "RESTRICT", "NO ACTION", "NO ACTION DEFERRABLE INITIALLY IMMEDIATE")
ACTIONS = ["CASCADE", "SET NULL", *(pytest.param(action, marks=pytest.mark.slow) for action in OTHERS)]


@pytest.mark.parametrize("dry_run", [False, True], ids=["", "dry run"])
@pytest.mark.parametrize("action", ACTIONS)
def test_rows_that_others_refer_to_are_not_deleted(target: Target, action: str, dry_run: bool) -> None:
    """A deleted row to which another table refers stops the merge before it writes, with the remedy."""
    target.note(f"ON DELETE {action}")

    with pytest.raises(ReferencedRowsError, match=r"'note_parent_id_fkey' of note.* 2 .*GRANT SET ON PARAMETER") as raised:
        target.plain.sync("parent", [(1, "changed"), (3, "c")], dry_run=dry_run)

    assert not raised.value.retryable
    assert target.owner.rows("parent") == KEPT
    assert target.owner.rows("note") == NOTES


@pytest.mark.parametrize("action", ACTIONS)
def test_rows_to_which_none_refers_are_deleted(target: Target, action: str) -> None:
    """A row without children is deleted, whatever the constraint's action is."""
    target.note(f"ON DELETE {action}")

    target.plain.sync("parent", [(1, "a"), (2, "changed"), (4, "new")])

    assert target.owner.rows("parent") == [(1, "a"), (2, "changed"), (4, "new")]
    assert target.owner.rows("note") == NOTES


CHANGES = {
    "deleted": [(10, 1, "x")],
    "re-pointed to one that stays": [(10, 1, "x"), (20, 1, "y"), (21, 3, "z")],
    "re-pointed to a new one": [(10, 1, "x"), (20, 4, "y"), (21, 4, "z")],
    "set to NULL": [(10, 1, "x"), (20, None, "y"), (21, None, "z")],
    "one of each": [(10, 4, "x"), (21, None, "z"), (22, 3, "n")],
}


@pytest.mark.parametrize("names", [("parent", "note"), ("note", "parent")], ids=" ".join)
@pytest.mark.parametrize("action", ACTIONS)
def test_children_of_the_same_merge_move_first(target: Target, action: str, names: tuple[str, str]) -> None:
    """A row whose children are deleted, or refer to another row, in the same merge is deleted after them."""
    target.note(f"ON DELETE {action}")
    parents = [(1, "a"), (3, "c"), (4, "new")]
    for after in CHANGES.values():
        rows = {"parent": parents, "note": after}
        target.plain.sync_all([(name, rows[name], (), ()) for name in names])

        assert target.owner.rows("parent") == parents
        assert target.owner.rows("note") == after
        target.owner.execute("DELETE FROM note", "DELETE FROM parent", ROWS)
        target.owner.execute(f"INSERT INTO note VALUES {', '.join(map(str, NOTES))}")


def test_orphans_of_the_source_are_refused(target: Target) -> None:
    """Rows without their parent at the source are refused before anything is written, both new and existing ones."""
    target.note("ON DELETE CASCADE")
    for notes in ([*NOTES], [(10, 1, "x"), (20, 1, "y"), (30, 2, "new")]):
        with pytest.raises(ReferencedRowsError, match="note_parent_id_fkey"):
            target.plain.sync_all([("parent", [(1, "a"), (3, "c")], (), ()), ("note", notes, (), ())])

        assert target.owner.rows("parent") == KEPT
        assert target.owner.rows("note") == NOTES


def test_actions_two_levels_deep(target: Target) -> None:
    """Children of children are not changed, either."""
    target.note("ON DELETE CASCADE")
    target.owner.execute(
        "CREATE TABLE leaf (id int PRIMARY KEY, note_id int REFERENCES note ON DELETE CASCADE)", "INSERT INTO leaf VALUES (1, 20)"
    )

    with pytest.raises(ReferencedRowsError, match="leaf_note_id_fkey"):
        target.plain.sync_all([("parent", [(1, "a"), (3, "c")], (), ()), ("note", [(10, 1, "x")], (), ())])

    assert target.owner.rows("leaf") == [(1, 20)]
    assert target.owner.rows("note") == NOTES


def test_a_table_that_refers_to_itself(target: Target) -> None:
    """Rows of one table that refer to each other are deleted and moved together."""
    target.owner.execute(
        "CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree ON DELETE CASCADE)",
        "INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2), (4, 3), (5, 4)",
    )

    target.plain.sync("tree", [(1, None), (5, 6), (6, 1)])

    assert target.owner.rows("tree") == [(1, None), (5, 6), (6, 1)]
    with pytest.raises(ReferencedRowsError, match="tree_up_fkey"):
        target.plain.sync("tree", [(1, None), (5, 6)])
    assert target.owner.rows("tree") == [(1, None), (5, 6), (6, 1)]


@pytest.mark.parametrize("deferrable", ["", "DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED"])
def test_rows_that_others_replace(target: Target, deferrable: str) -> None:
    """Rows with referenced codes get other keys if the constraint is deferrable; if not, the error says so."""
    target.owner.execute(
        f"CREATE TABLE tree (id int PRIMARY KEY, code text UNIQUE, up text NOT NULL REFERENCES tree (code) {deferrable})",
        "INSERT INTO tree VALUES (1, 'a', 'a'), (2, 'b', 'a')",
    )
    renumbered = [(11, "a", "a"), (2, "b", "a")]
    if deferrable:
        target.plain.sync("tree", renumbered)
        assert target.owner.rows("tree") == renumbered
        return
    with pytest.raises(ReferencedRowsError, match=r"that others replace\..*Declare it DEFERRABLE.*GRANT SET"):
        target.plain.sync("tree", renumbered)
    assert target.owner.rows("tree") == [(1, "a", "a"), (2, "b", "a")]


def test_children_in_another_schema_and_in_partitions(target: Target) -> None:
    """Constraints of tables in another schema, and of partitioned tables, are respected, too."""
    target.owner.execute(
        "CREATE SCHEMA elsewhere",
        "CREATE TABLE elsewhere.note (id int, at int, p int REFERENCES parent ON DELETE SET NULL) PARTITION BY RANGE (at)",
        "CREATE TABLE elsewhere.early PARTITION OF elsewhere.note FOR VALUES FROM (0) TO (10)",
        "INSERT INTO elsewhere.note VALUES (1, 5, 2)",
    )

    with pytest.raises(ReferencedRowsError, match=r"'note_p_fkey' of elsewhere\.note"):
        target.plain.sync("parent", [(1, "a"), (3, "c")])

    assert target.owner.rows("elsewhere.note") == [(1, 5, 2)]
    target.plain.sync("parent", [(1, "a"), (2, "b")])


def test_partitioned_parents(target: Target) -> None:
    """Children of a partitioned table are not changed, for references to the table and to a partition."""
    target.owner.execute(
        "CREATE TABLE big (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF big FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE high PARTITION OF big FOR VALUES FROM (10) TO (20)",
        "INSERT INTO big VALUES (1, 'a'), (2, 'b'), (11, 'c'), (12, 'd')",
        "CREATE TABLE one (id int PRIMARY KEY, b int REFERENCES big ON DELETE CASCADE)",
        "CREATE TABLE two (id int PRIMARY KEY, b int REFERENCES high ON DELETE CASCADE)",
        "INSERT INTO one VALUES (1, 2)",
        "INSERT INTO two VALUES (1, 12)",
    )

    for rows, constraint in (([(1, "a"), (11, "c"), (12, "d")], "one_b"), ([(1, "a"), (2, "b"), (11, "c")], "two_b")):
        with pytest.raises(ReferencedRowsError, match=constraint):
            target.plain.sync("big", rows)
    target.plain.sync("big", [(2, "b"), (12, "d")])

    assert (target.owner.rows("one"), target.owner.rows("two")) == ([(1, 2)], [(1, 12)])


HIDDEN = {
    "no privilege": ("REVOKE ALL ON note FROM {role}",),
    "one column": ("REVOKE ALL ON note FROM {role}", "GRANT SELECT (mine) ON note TO {role}"),
    "row security": ("ALTER TABLE note ENABLE ROW LEVEL SECURITY", "CREATE POLICY ten ON note TO {role} USING (id = 10)"),
}
TRIGGER = (
    "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "CREATE TRIGGER noting AFTER DELETE ON parent FOR EACH ROW EXECUTE FUNCTION noted()",
)


@every_pair(hidden=HIDDEN, action=["CASCADE", "SET NULL", "SET DEFAULT"], trigger=[False, True], counts=["on", "off"])
def test_children_that_the_role_cannot_read(target: Target, hidden: str, counts: str, trigger: bool, action: str) -> None:
    """An action on children that the role cannot read is noticed and rolled back, or the merge is refused if it might act."""
    target.note(f"ON DELETE {action}")
    count_changes(target, counts)
    role = target.plain.scalar("SELECT quote_ident(current_user)")
    target.owner.execute(*(statement.format(role=role) for statement in HIDDEN[hidden]), *(TRIGGER if trigger else ()))

    with pytest.raises(ReferencedRowsError, match="note_parent_id_fkey"):
        target.plain.sync("parent", [(1, "a"), (3, "c")])
    assert target.owner.rows("note") == NOTES
    assert target.owner.rows("parent") == KEPT

    count_changes(target, "on")
    target.plain.sync("parent", [(1, "a"), (2, "b")])
    assert target.owner.rows("parent") == [(1, "a"), (2, "b")]
    assert target.owner.rows("note") == NOTES


def count_changes(target: Target, counts: str) -> None:
    """Have the server count what the role's transactions change, or not."""
    role = target.plain.scalar("SELECT quote_ident(current_user)")
    target.owner.execute(f"ALTER ROLE {role} SET track_counts = {counts}")
    target.plain.database.engine.dispose()


@pytest.fixture
def words(target: Target) -> Target:
    """Give a table whose keys have no case."""
    target.owner.execute(
        "CREATE EXTENSION citext",
        "CREATE TABLE word (code citext PRIMARY KEY, v text)",
        "INSERT INTO word VALUES ('ab', 'a'), ('cd', 'b'), ('ef', 'c')",
    )
    return target


def _uses(target: Target, action: str) -> None:
    target.owner.execute(
        f"CREATE TABLE uses (id int PRIMARY KEY, code citext REFERENCES word {action}, mine text)",
        "INSERT INTO uses VALUES (1, 'ab', 'x'), (2, 'cd', 'y')",
    )


USES = [(1, "ab", "x"), (2, "cd", "y")]
WORDS = [("AB", "a"), ("cd", "b"), ("ef", "c")]


@pytest.mark.parametrize("synced", [False, True], ids=["alone", "with its children"])
@pytest.mark.parametrize("action", ["ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE RESTRICT"])
def test_a_key_that_changes_its_case_keeps_its_children(words: Target, action: str, synced: bool) -> None:
    """The row is updated in place, so that no action fires."""
    _uses(words, action)

    words.plain.sync_all([("word", WORDS, (), ()), *([("uses", USES, (), ())] if synced else [])])

    assert words.owner.rows("word") == WORDS
    assert words.owner.rows("uses") == USES


@pytest.mark.parametrize("action", ["ON UPDATE CASCADE", "ON UPDATE SET NULL", "ON UPDATE RESTRICT"])
def test_updates_of_keys_do_not_reach_children(words: Target, action: str) -> None:
    """Actions on update do not fire: the constraint is dropped and created again, or the merge is refused."""
    _uses(words, action)
    words.owner.execute("COMMENT ON CONSTRAINT uses_code_fkey ON uses IS 'it''s 100% mine'")

    with pytest.raises(ReferencedRowsError, match="uses_code_fkey"):
        words.plain.sync("word", WORDS)
    assert words.owner.rows("word") == [("ab", "a"), *WORDS[1:]]

    words.owner.execute(f"ALTER TABLE uses OWNER TO {words.plain.scalar('SELECT current_user')}")
    words.owner.execute(f"ALTER TABLE word OWNER TO {words.plain.scalar('SELECT current_user')}")
    before = words.owner.scalar("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'uses_code_fkey'")
    words.plain.sync("word", WORDS)

    assert words.owner.rows("word") == WORDS
    assert words.owner.rows("uses") == USES
    definition = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'uses_code_fkey' AND convalidated"
    assert words.owner.scalar(definition) == before
    comment = "SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conname = 'uses_code_fkey'"
    assert words.owner.scalar(comment) == "it's 100% mine"


def test_referenced_values_that_change(target: Target) -> None:
    """A referenced value may change together with its references, but not without them."""
    target.owner.execute(
        "CREATE TABLE item (id int PRIMARY KEY, code text NOT NULL UNIQUE)",
        "CREATE TABLE line (id int PRIMARY KEY, code text REFERENCES item (code) ON UPDATE CASCADE)",
        "INSERT INTO item VALUES (1, 'a'), (2, 'b')",
        "INSERT INTO line VALUES (10, 'a'), (20, 'b')",
    )

    with pytest.raises(ReferencedRowsError, match=r"line_code_fkey.* if it is not yet; or change those rows"):
        target.plain.sync("item", [(1, "x"), (2, "b")])
    assert target.owner.rows("line") == [(10, "a"), (20, "b")]
    assert target.owner.rows("item") == [(1, "a"), (2, "b")]

    target.plain.sync_all([("item", [(1, "x"), (2, "b")], (), ()), ("line", [(10, "x"), (20, "b")], (), ())])
    assert target.owner.rows("line") == [(10, "x"), (20, "b")]


def test_columns_of_different_collations(target: Target) -> None:
    """If a foreign key joins columns of different collations, rows are counted by the parent's rules."""
    target.owner.execute(
        'CREATE TABLE p (code text COLLATE "C" PRIMARY KEY)',
        'CREATE TABLE c (id int PRIMARY KEY, code text COLLATE "en-US-x-icu" REFERENCES p ON DELETE CASCADE)',
        "INSERT INTO p VALUES ('a'), ('b')",
        "INSERT INTO c VALUES (1, 'b')",
    )

    target.plain.sync_all([("p", [("a",), ("z",)], (), ()), ("c", [(1, "z")], (), ())])
    assert (target.owner.rows("p"), target.owner.rows("c")) == ([("a",), ("z",)], [(1, "z")])

    assert target.owner.sync("p", [("a",)]).orphans == {"c.c_code_fkey": 1}


def test_triggers_that_keep_foreign_keys_on(target: Target) -> None:
    """If a trigger keeps foreign keys on even for a superuser, no row is lost either."""
    target.note("ON DELETE CASCADE")
    target.owner.execute(
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER audit AFTER UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION nothing()",
    )

    with pytest.raises(ReferencedRowsError, match=r"note_parent_id_fkey.*trigger audit"):
        target.owner.sync("parent", [(1, "a"), (3, "c")])

    assert target.owner.rows("note") == NOTES
    assert target.owner.rows("parent") == KEPT


def test_broken_foreign_keys_are_still_named(target: Target) -> None:
    """A row without its parent is refused with the constraint and the grant, and nothing is written."""
    target.note("ON DELETE CASCADE")

    with pytest.raises(TableError, match=r"note_parent_id_fkey.*GRANT SET ON PARAMETER"):
        target.plain.sync("note", [(10, 1, "x"), (30, 9, "new")])

    assert target.owner.rows("note") == NOTES


def test_values_of_rows_that_are_deleted_last_are_free(target: Target) -> None:
    """A new row may take a unique value of a row that is deleted last, after its children have moved."""
    target.owner.execute("ALTER TABLE parent ALTER v SET NOT NULL", "ALTER TABLE parent ADD UNIQUE (v)")
    target.note("ON DELETE CASCADE")
    rows = {"parent": [(1, "c"), (3, "a"), (4, "b")], "note": [(10, 1, "x"), (20, 4, "y"), (21, 3, "z")]}

    target.plain.sync_all([(name, rows[name], (), ()) for name in rows])

    assert target.owner.rows("parent") == rows["parent"]
    assert target.owner.rows("note") == rows["note"]


@pytest.mark.parametrize("deferrable", ["", " DEFERRABLE"], ids=["", "deferrable"])
def test_a_value_that_other_rows_follow_is_free(target: Target, deferrable: str) -> None:
    """A new row takes the unique value of a deleted one, to which rows refer until they change, if the role owns the tables."""
    target.owner.execute(
        "CREATE TABLE item (id int PRIMARY KEY, code text NOT NULL UNIQUE)",
        "CREATE TABLE line (id int PRIMARY KEY, code text)",
        f"ALTER TABLE line ADD FOREIGN KEY (code) REFERENCES item (code) ON DELETE CASCADE ON UPDATE CASCADE{deferrable}",
        "INSERT INTO item VALUES (1, 'a'), (2, 'b')",
        "INSERT INTO line VALUES (10, 'a'), (20, 'b')",
    )
    items, lines = [(2, "b"), (3, "a")], [(10, "b"), (20, "b")]

    def sync() -> None:
        target.plain.sync_all([("item", items, (), ()), ("line", lines, (), ())])

    with pytest.raises(TableError, match="item_code_key"):
        sync()
    assert target.owner.rows("item") == [(1, "a"), (2, "b")]
    for name in ("item", "line"):
        target.owner.execute(f"ALTER TABLE {name} OWNER TO {target.plain.scalar('SELECT current_user')}")
    definition = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'line_code_fkey' AND convalidated"
    before = target.owner.scalar(definition)
    sync()
    assert (target.owner.rows("item"), target.owner.rows("line")) == (items, lines)
    assert target.owner.scalar(definition) == before


@pytest.mark.parametrize("counts", ["on", "off"])
@pytest.mark.parametrize("trigger", [False, True], ids=["", "trigger"])
def test_referenced_values_that_the_database_computes(target: Target, trigger: bool, counts: str) -> None:
    """An action on a generated column is noticed, too, and rolled back."""
    target.owner.execute(
        "CREATE TABLE item (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED UNIQUE)",
        "INSERT INTO item (id, n) VALUES (1, 1), (2, 2)",
        "CREATE TABLE line (id int PRIMARY KEY, twice int REFERENCES item (twice) ON UPDATE CASCADE)",
        "INSERT INTO line VALUES (10, 2)",
        *(statement.replace("ON parent", "ON item") for statement in TRIGGER if trigger),
    )
    count_changes(target, counts)

    with pytest.raises(ReferencedRowsError, match="line_twice_fkey"):
        target.plain.sync("item", [(1, 7), (2, 2)], columns=["id", "n"])

    assert target.owner.rows("line") == [(10, 2)]
    assert target.owner.rows("item") == [(1, 1, 2), (2, 2, 4)]


def test_tables_that_inherit_from_a_child(target: Target) -> None:
    """Rows of tables that inherit from a child neither stop a merge nor count as orphans."""
    target.note("ON DELETE CASCADE")
    target.owner.execute(
        "CREATE TABLE old_note (CHECK (id >= 100)) INHERITS (note)",
        "INSERT INTO old_note (id, parent_id, mine) VALUES (100, 3, 'old'), (101, 77, 'older')",
    )

    result = target.plain.sync("parent", [(1, "a"), (2, "b")])

    assert target.owner.rows("parent") == [(1, "a"), (2, "b")]
    assert target.owner.scalar("SELECT count(*) FROM ONLY old_note") == 2
    assert not result.orphans


def test_parents_with_tables_that_inherit_from_them(target: Target) -> None:
    """A row that refers only to a row of an inheriting table is an orphan, because the foreign key ignores that row."""
    target.owner.execute("CREATE TABLE older (CHECK (id >= 100)) INHERITS (parent)")
    target.owner.execute("INSERT INTO older VALUES (100, 'old')")
    target.note("ON DELETE CASCADE")

    with pytest.raises(TableError, match="note_parent_id_fkey"):
        target.plain.sync("note", [(10, 1, "x"), (30, 100, "of an inheriting table")])
    result = target.owner.sync("note", [(10, 1, "x"), (30, 100, "of an inheriting table")])

    assert dict(result.orphans) == {"note.note_parent_id_fkey": 1}
