"""The documentation is true: links lead somewhere, and what the reference lists is what there is."""

from __future__ import annotations

import argparse
import inspect
import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import yaml

from airflow_provider_sync import exceptions
from airflow_provider_sync.cli.parser import build_parser
from airflow_provider_sync.config import (
    ClientConfig,
    ServerConfig,
    ServerLimits,
    SourceDirectory,
    SourceTable,
    TargetDirectory,
    TargetTable,
    Token,
)
from airflow_provider_sync.config.log import LogOptions
from airflow_provider_sync.config.metrics import MetricsOptions
from airflow_provider_sync.config.options import Options
from airflow_provider_sync.exceptions import ServerError, SyncError, SyncFailed
from airflow_provider_sync.notifications.sync_report import SyncReportNotifier
from airflow_provider_sync.operators.configured_sync import ConfiguredSyncOperator
from airflow_provider_sync.operators.file_operator import FileOperator
from airflow_provider_sync.operators.file_sync import FileSyncOperator
from airflow_provider_sync.operators.sync_check import SyncCheckOperator
from airflow_provider_sync.operators.sync_list import SyncListOperator
from airflow_provider_sync.operators.sync_operator import SyncOperator
from airflow_provider_sync.operators.table_operator import TableOperator
from airflow_provider_sync.operators.table_sync import TableSyncOperator
from airflow_provider_sync.provider_info import get_provider_info
from airflow_provider_sync.report import DirectoryReport, Report, TableReport
from airflow_provider_sync.sensors.difference import DifferenceSensor
from airflow_provider_sync.sensors.files_changed import FilesChangedSensor
from airflow_provider_sync.sensors.table_changed import TableChangedSensor
from airflow_provider_sync.task_groups.sync_dag import SyncDag
from tests.docs.pages import PAGES, PROJECT, anchors, blocks, kind_of_configuration, table_below
from tests.docs.references import PACKAGE, missing_commands, missing_definitions, missing_names, missing_paths, missing_rooms

REFERENCE = PROJECT / "docs" / "reference"
OF_EVERY_COMMAND = {"help", "verbose", "quiet", "log_level", "log_format", "log_file"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links(page: Path) -> None:
    """Every relative link leads to an existing file and heading."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_what_is_named_exists(page: Path) -> None:
    """Every file, test, module and make command that a page names exists."""
    text = page.read_text()
    assert (missing_paths(text), missing_names(text), missing_commands(text)) == ([], [], [])


CONTRIBUTING = sorted((PROJECT / "docs" / "contributing").glob("*.md"))


@pytest.mark.parametrize("page", CONTRIBUTING, ids=lambda page: page.name)
def test_what_contributors_look_for_exists(page: Path) -> None:
    """Every room, file, class and function in the pages for contributors exists at its place."""
    text = page.read_text()
    assert (missing_rooms(text), missing_definitions(text)) == ([], [])


def test_the_map_is_complete() -> None:
    """Every package and every module beside the packages is in the map."""
    text = (PROJECT / "docs" / "contributing" / "map.md").read_text()
    folders = [folder.parent.relative_to(PACKAGE) for folder in PACKAGE.rglob("__init__.py") if folder.parent != PACKAGE]
    modules = [module.name for module in PACKAGE.glob("*.py") if module.name != "__init__.py"]
    assert [name for name in (*(f"{folder}/" for folder in folders), *modules) if f"`{name}`" not in text] == []


def test_the_readme_is_short() -> None:
    """The README has less than 150 lines."""
    assert len(PAGES[0].read_text().splitlines()) < 150


def test_the_index_is_complete() -> None:
    """Every page of the documentation is in its index; pages for contributors have their own index."""
    for folder, but in ((PROJECT / "docs", CONTRIBUTING), (PROJECT / "docs" / "contributing", [])):
        index = folder / "README.md"
        pages = [page for page in PAGES if page.is_relative_to(folder) and page not in (index, *but)]
        assert [page.name for page in pages if f"({page.relative_to(folder)})" not in index.read_text()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_configurations(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every configuration in the pages is valid, once its variables are set."""
    for number, block in enumerate(blocks(page)):
        if block.language != "yaml":
            continue
        for variable in re.findall(r"\$\{(\w+)\}", block.text):
            monkeypatch.setenv(variable, f"value{number}")
        kind = ServerConfig if kind_of_configuration(block.text) == "server" else ClientConfig
        kind.from_dict(yaml.safe_load(block.text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_code(page: Path) -> None:
    """Every Python and JSON block in the pages is valid."""
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, str(page), "exec")
        if block.language == "json":
            json.loads(block.text)


@pytest.mark.parametrize("page", sorted((PROJECT / "docs" / "coming-from").glob("[!R]*.md")), ids=lambda page: page.stem)
def test_the_same_task_here(page: Path) -> None:
    """The commands, arguments and options that pages for users of other programs name exist."""
    options = {name for kind in _all_options(Options) for name in kind.model_fields}
    (_, *rows) = re.findall(r"^\|.* \| (.*) \|$", page.read_text(), re.MULTILINE)
    for code in re.findall(r"`([^`]+)`", " ".join(rows)):
        if code.startswith("airflow-sync "):
            build_parser().parse_args(shlex.split(code)[1:])
        elif option := re.match(r"(\w+):", code):
            assert option[1] in options, code


def _all_options(kind: type[Options]) -> Iterator[type[Options]]:
    for below in kind.__subclasses__():
        yield below
        yield from _all_options(below)


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("server.yaml", ServerConfig),
        ("Limits of the server", ServerLimits),
        ("The log of the server", LogOptions),
        ("Metrics of the server", MetricsOptions),
        ("A token", Token),
        ("A table of the server", SourceTable),
        ("A directory of the server", SourceDirectory),
        ("client.yaml", ClientConfig),
        ("A table of the client", TargetTable),
        ("A directory of the client", TargetDirectory),
    ],
)
def test_options(heading: str, kind: type[Options]) -> None:
    """The reference lists every option and no other, with its default if that is a plain value."""
    listed = table_below(REFERENCE / "options.md", heading)
    # A name that is required is what stands before the options.
    fields = {name: field for name, field in kind.model_fields.items() if name != "name" or not field.is_required()}
    assert sorted(listed) == sorted(fields)
    for name, (_, default) in listed.items():
        field = fields[name]
        assert (default == "required") == field.is_required()
        if isinstance(field.default, bool | int | float | str):
            expected = (
                str(field.default).lower()
                if isinstance(field.default, bool)
                else f"{field.default:g}"
                if isinstance(field.default, float)
                else str(field.default)
            )
            assert default.replace("`", "") == expected


@pytest.mark.parametrize(
    ("operator", "kinds", "options"),
    [
        (TableSyncOperator, (TableOperator, SyncOperator), TableOperator.table_options),
        (FileSyncOperator, (FileOperator, SyncOperator), FileOperator.directory_options),
        (TableChangedSensor, (TableChangedSensor, DifferenceSensor), ()),
        (FilesChangedSensor, (FilesChangedSensor, DifferenceSensor), ()),
    ],
)
def test_arguments(operator: type, kinds: tuple[type, ...], options: tuple[str, ...]) -> None:
    """The reference lists every argument of operators and sensors that is not an option of a table or directory."""
    heading = "Sensors" if issubclass(operator, DifferenceSensor) else operator.__name__
    listed = {name for names in table_below(REFERENCE / "options.md", heading) for name in names.split(", ")}
    arguments = {name for kind in kinds for name in inspect.signature(kind.__init__).parameters} - {"self", "kwargs"}
    assert not arguments - listed - set(options)
    assert heading == "Sensors" or listed == arguments - set(options)


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("SyncListOperator", SyncListOperator.__init__),
        ("SyncCheckOperator", SyncCheckOperator.__init__),
        ("ConfiguredSyncOperator", ConfiguredSyncOperator.__init__),
        ("SyncReportNotifier", SyncReportNotifier.__init__),
        ("SyncDag", SyncDag.from_yaml),
    ],
)
def test_arguments_of_what_names_tables_by_itself(heading: str, kind: Callable[..., object]) -> None:
    """The reference lists every argument of these classes, and no other."""
    of_all = {"skip_unchanged", "dry_run", "on_guard"} if heading == "ConfiguredSyncOperator" else set()
    arguments = inspect.signature(kind).parameters.keys() - {"self", "kwargs", "arguments"}
    assert set(table_below(REFERENCE / "options.md", heading)) == arguments | of_all


def test_airflow_configuration() -> None:
    """The reference lists every option of Airflow's configuration, no other, and its default."""
    listed = table_below(REFERENCE / "options.md", "Airflow's configuration")
    options = get_provider_info()["config"]["sync"]["options"]
    expected = {name: option["default"] or "empty" for name, option in options.items()}
    assert {name: default.strip("`") for name, (_, default) in listed.items()} == expected


def test_commands() -> None:
    """The reference lists every command with every argument, and no other."""
    (commands,) = [action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    page = REFERENCE / "commands.md"
    assert re.findall(r"^## `(\w+)`$", page.read_text(), re.MULTILINE) == list(commands.choices)
    before = page.read_text().partition("\n## ")[0]
    assert [name for name in OF_EVERY_COMMAND if f"--{name.replace('_', '-')}" not in before] == []
    for name, parser in commands.choices.items():
        expected = {_as_documented(action) for action in parser._actions if action.dest not in OF_EVERY_COMMAND}
        assert set(table_below(page, name)) == expected


def _as_documented(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
    return " ".join(filter(None, [*action.option_strings[:1], value]))


@pytest.mark.parametrize(("heading", "kind"), [("Of a table", TableReport), ("Of a directory", DirectoryReport)])
def test_reports(heading: str, kind: type[Report]) -> None:
    """The reference lists every field of a report, and no other."""
    page = REFERENCE / "reports.md"
    listed = set(table_below(page, heading))
    if kind is DirectoryReport:
        (sentence,) = re.findall(r"^(`name`.*?)are as above", page.read_text(), re.MULTILINE | re.DOTALL)
        listed |= set(re.findall(r"`(\w+)`", sentence))
    assert listed == {field.name for field in msgspec.structs.fields(kind)}


def test_errors() -> None:
    """The reference lists every error and no other, and whether it is transient."""
    listed = table_below(REFERENCE / "errors.md", "Errors")
    kinds = {name: kind for name, kind in vars(exceptions).items() if inspect.isclass(kind) and issubclass(kind, SyncError)}
    assert listed.keys() == kinds.keys()
    for name, kind in kinds.items():
        if kind not in (ServerError, SyncFailed):
            assert listed[name][0] == ("yes" if kind.retryable else "no"), name
