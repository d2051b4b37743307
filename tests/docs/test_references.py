"""A page that names something which is not there is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.docs.references import (
    PACKAGE,
    missing_commands,
    missing_definitions,
    missing_names,
    missing_neighbours,
    missing_paths,
    missing_roles,
    missing_rooms,
)

THERE = """
`airflow_provider_sync/report.py`, tests/docs/test_references.py, `docs/how-to/*.md`,
`tests/docs/test_references.py::test_what_is_there`,
`airflow_provider_sync.report`, `airflow_provider_sync.report.TableReport`, `databases/mysql/`, `report.py`, `TableReport`,
`missing_paths()`, `make lint`.

```text
merge/merge.py ── report.py
```
"""


def test_what_is_there() -> None:
    """Existing files, folders, tests, modules, classes, functions and commands are not reported."""
    for missing in (missing_paths, missing_names, missing_rooms, missing_definitions, missing_commands):
        assert missing(THERE) == []


@pytest.mark.parametrize(
    ("missing", "text", "expected"),
    [
        (missing_paths, "See tests/docs/gone.py.", "tests/docs/gone.py"),
        (missing_paths, "`tests/docs/test_pages.py::test_gone`", "tests/docs/test_pages.py::test_gone"),
        (missing_paths, "`docs/README.md/`", "docs/README.md/"),
        (missing_names, "airflow_provider_sync.gone.Gone", "airflow_provider_sync.gone.Gone"),
        (missing_names, "airflow_provider_sync.report.Gone", "airflow_provider_sync.report.Gone"),
        (missing_rooms, "`gone/`", "gone/"),
        (missing_rooms, "```text\nsync/gone.py\n```", "sync/gone.py"),
        (missing_definitions, "`GoneReport`", "GoneReport"),
        (missing_definitions, "`gone_away()`", "gone_away"),
        (missing_commands, "`make gone`", "gone"),
    ],
)
def test_what_is_missing(missing: Callable[[str], list[str]], text: str, expected: str) -> None:
    """Missing ones are reported by name."""
    assert missing(text) == [expected]


def test_modules_in_docstrings() -> None:
    """Every module that a docstring names relative to itself exists, and a missing one is found."""
    named = {file: missing_neighbours(file.read_text(), file.parent) for file in PACKAGE.rglob("*.py")}
    assert {file: missing for file, missing in named.items() if missing} == {}
    assert missing_neighbours("See :mod:`.gone`, :mod:`.files.gone` and :mod:`..main`.", PACKAGE / "cli") == [
        ".gone",
        ".files.gone",
        "..main",
    ]


def test_roles_in_docstrings() -> None:
    """Every class, function or value that a docstring names exists there, and a missing one is found."""
    named = {file: missing_roles(file.read_text()) for file in PACKAGE.rglob("*.py")}
    assert {file: missing for file, missing in named.items() if missing} == {}
    gone = ":func:`gone`, :class:`~.report.Gone`, :meth:`.TableReport.gone`, :data:`~airflow_provider_sync.report.GONE`"
    assert missing_roles(gone) == ["gone", ".report.Gone", ".TableReport.gone", "airflow_provider_sync.report.GONE"]
