"""What rendered arguments stand for."""

from __future__ import annotations

from collections import UserList
from typing import Any

import jinja2
import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_sync.airflow_support.rendered_arguments import (
    read_argument,
    read_directories,
    read_names,
    read_tables,
)
from airflow_provider_sync.airflow_support.templates import UndefinedText
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.sensors.difference import WhenUnchanged


@pytest.mark.parametrize(
    "tables",
    [
        ["orders", "items"],
        ("orders", "items"),
        '["orders", "items"]',
        "['orders', 'items']",
        ' ["orders", "items"]\n',
        {"orders": None, "items": {}},
        '{"orders": null, "items": {}}',
        "{'orders': None, 'items': {}}",
    ],
)
def test_lists_of_tables(tables: Any) -> None:
    """A list is read from a value, from JSON, and from the text of a Python list in a rendered template."""
    assert [table.name for table in read_tables("tables", tables, {})] == ["orders", "items"]


def test_results_of_mapped_tasks() -> None:
    """Airflow's results of mapped tasks, a sequence but not a list, are read like a list."""
    assert [table.name for table in read_tables("tables", UserList(["orders", "items"]), {})] == ["orders", "items"]


def test_names_that_are_numbers() -> None:
    """A name that native rendering turns into a number, such as ``2026`` or ``{{ ds_nodash }}``, becomes text again."""
    (directory,) = read_directories("directories", 2026, "/srv", {"prefix": 20260131})
    assert (directory.name, directory.path, directory.prefix) == ("2026", "/srv", "20260131")
    (directory,) = read_directories("directories", {2026: {"prefix": 7}}, "/srv", {})
    assert (directory.name, directory.path, directory.prefix) == ("2026", "/srv/2026", "7")
    assert [table.name for table in read_tables("tables", [2025, "2026"], {})] == ["2025", "2026"]
    (table,) = read_tables("tables", "orders", {"table": 2026})
    assert table.table_name == "2026"
    assert (read_names("tables", 2026), read_names("tables", [2025, "a"])) == (["2026"], ["2025", "a"])


def test_one_name() -> None:
    """Plain text is one name, without the white space around it."""
    assert [table.name for table in read_tables("tables", " orders\n", {})] == ["orders"]


def test_defaults_hold_where_an_entry_sets_nothing() -> None:
    """Options of the operator hold for the entries that do not set them, and only there."""
    orders, items = read_tables(
        "tables", {"orders": {"max_deletes": "5"}, "items": None}, {"max_deletes": "10%", "primary": "id", "columns": None}
    )
    assert (orders.max_deletes, orders.primary) == ("5", "id")
    assert (items.max_deletes, items.primary, items.columns) == ("10%", "id", ())


def test_options_as_text() -> None:
    """Lists, mappings, switches and numbers inside options may be text."""
    options = {"columns": "['id', 'name']", "renames": '{"name": "title"}', "verify": "False", "primary": '["id"]'}
    (table,) = read_tables("tables", {"orders": options}, {})
    assert (table.columns, table.renames, table.verify, table.primary) == (("id", "name"), {"name": "title"}, False, ("id",))


def test_options_of_the_caller_stay() -> None:
    """The mapping that a DAG gave is not changed."""
    directories = {"images": {"path": "/srv/images", "include": ["*.png"]}}
    read_directories("directories", directories, None, {})
    assert directories == {"images": {"path": "/srv/images", "include": ["*.png"]}}


@pytest.mark.parametrize("value", ["", "  ", "None", [], {}, "[]", "{}", None, jinja2.StrictUndefined(name="tables")])
def test_empty_renderings(value: Any) -> None:
    """An argument that renders to nothing is an error that names it."""
    with pytest.raises(ConfigurationError, match="'tables'"):
        read_tables("tables", value, {})


@pytest.mark.parametrize(
    "value",
    [
        ["orders", ""],
        ["orders", 1.5],
        ["orders", True],
        ["orders", '["a"]'],
        ["orders", "{'a': {}}"],
        1.5,
        "[orders",
        {"orders": "id"},
        {"orders": {"primary": ""}},
    ],
)
def test_what_cannot_be_meant(value: Any) -> None:
    """A value that is not a name, a list of names or a mapping to options is refused, and the error names the argument."""
    with pytest.raises(ConfigurationError, match="tables"):
        read_tables("tables", value, {})


def test_unknown_option() -> None:
    """An option that does not exist is an error that names table and option."""
    with pytest.raises(ConfigurationError, match=r"'orders'.*primary_key"):
        read_tables("tables", {"orders": {"primary_key": "id"}}, {})


def test_one_target_for_several_tables() -> None:
    """One target name for several tables is refused."""
    with pytest.raises(ConfigurationError, match="'table' names one target for the 2 entries"):
        read_tables("tables", ["orders", "items"], {"table": "orders"})


def paths(directories: Any, path: Any = None) -> dict[str, str]:
    """Return where each directory is kept."""
    return {directory.name: directory.path for directory in read_directories("directories", directories, path, {})}


def test_path_of_one_directory() -> None:
    """The files of a single name are in the path itself."""
    assert paths("images", "/srv/images") == {"images": "/srv/images"}


@pytest.mark.parametrize("directories", [["images"], '["images"]', {"images": None}])
def test_paths_of_lists(directories: Any) -> None:
    """Each entry of a list or mapping gets a folder of its name, even if there is only one."""
    assert paths(directories, "/srv/") == {"images": "/srv/images"}


def test_paths_of_entries() -> None:
    """An entry's own path goes before the operator's."""
    assert paths({"images": {"path": "/srv/images"}, "letters": {}}, "/data") == {
        "images": "/srv/images",
        "letters": "/data/letters",
    }


def test_object_storage() -> None:
    """URLs and object storage paths keep their connection."""
    assert paths(["images"], "s3://aws@bucket/all") == {"images": "s3://aws@bucket/all/images"}
    assert paths("images", ObjectStoragePath("file:///srv/images")) == {"images": "file:///srv/images"}


@pytest.mark.parametrize("path", ["/srv/x", "/srv/x/", "file:///srv/x/y", "/srv/z/../x/y"])
def test_paths_in_the_folder_of_another(path: str) -> None:
    """Two directories are refused if one would delete the files of the other, as in a configuration."""
    directories: dict[str, Any] = {"a": {"path": "/srv/x"}, "b": {"path": path}}
    with pytest.raises(ConfigurationError, match=r"'directories': '[ab]' goes into the folder of '[ab]'"):
        paths(directories, None)
    directories = {name: {**options, "exclude": ["y/**"]} for name, options in directories.items()}
    assert set(paths(directories, None)) == {"a", "b"}


def test_no_path() -> None:
    """A directory without a path is an error that names it."""
    with pytest.raises(ConfigurationError, match="Directory 'images' has no path"):
        paths("images")


@pytest.mark.parametrize("name", ["../etc", "/etc", "a/../../etc", "."])
def test_names_that_lead_elsewhere(name: str) -> None:
    """A name cannot lead out of the operator's path."""
    with pytest.raises(ConfigurationError, match="cannot be kept in a folder of its own name"):
        paths([name], "/srv")


@pytest.mark.parametrize(("value", "expected"), [(True, True), ("True", True), ("false", False), ("0", False)])
def test_switches(value: Any, expected: bool) -> None:
    """Switches are read from the text that templates render to."""
    assert read_argument("dry_run", value, bool) is expected


def test_wrong_switch() -> None:
    """A value that is not a switch is an error that names argument and value."""
    with pytest.raises(ConfigurationError, match="'dry_run' is 'maybe'"):
        read_argument("dry_run", "maybe", bool)
    with pytest.raises(ConfigurationError, match=r"^'slices' is 'many'\. It must be a whole number, not text\.$"):
        read_argument("slices", "many", int)
    with pytest.raises(ConfigurationError, match=r"^'when_unchanged' is 'never'\. Give 'skip' or 'wait'\.$"):
        read_argument("when_unchanged", "never", WhenUnchanged)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (
            ["created_at", UndefinedText("'data_interval_start' is undefined", {"data_interval_start"}), "x"],
            "'window' uses .* 'data_interval_start'.*backfill",
        ),
        (
            ["created_at", UndefinedText("'dag.x' is undefined"), "x"],
            "'window' uses what this run does not have: 'dag.x' is undefined.$",
        ),
        (UndefinedText("'ds' is undefined", {"ds"}), "'window' uses .* logical date"),
        (["created_at", "", "2026-01-02"], "'window' rendered to ''"),
        ("['created_at', None, None]", "'window' is empty"),
        (["created_at", "2026-01-02", "None"], "'window' rendered to 'None'"),
        (["created_at", "2026-01-02", "2026-01-02"], "window begins and ends at '2026-01-02'.*CronDataIntervalTimetable"),
    ],
)
def test_windows_of_nothing(window: Any, message: str) -> None:
    """A window whose ends are missing or equal is refused, and the message names it and what to do."""
    with pytest.raises(ConfigurationError, match=message):
        read_tables("tables", "orders", {"window": window})


def test_patterns_are_no_lists() -> None:
    """A pattern that begins with a set of characters is not read as a list."""
    (directory,) = read_directories("directories", "images", "/srv", {"include": ["[ab]*.png"]})
    assert directory.include == ("[ab]*.png",)
