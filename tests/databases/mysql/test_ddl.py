"""Definitions of columns that are widened, from what SHOW CREATE TABLE says."""

from __future__ import annotations

import pytest

from airflow_provider_sync.databases.contract.ddl import WidenedColumn
from airflow_provider_sync.databases.mysql.ddl import redefined
from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.exceptions import TableError


def quote(name: str) -> str:
    """Quote a name as the driver takes it."""
    return f"`{name.replace('`', '``').replace('%', '%%')}`"


def widened(name: str, before: str, after: str) -> WidenedColumn:
    """Return a column that is to get another type."""
    return WidenedColumn(column=Column(name=name, kind=Kind.OTHER, sql_type=before), sql_type=after)


@pytest.mark.parametrize(
    ("line", "column", "definition"),
    [
        (
            "  `n` int(11) unsigned NOT NULL AUTO_INCREMENT COMMENT 'of, it',",
            widened("n", "int(11) unsigned", "BIGINT"),
            "`n` BIGINT NOT NULL AUTO_INCREMENT COMMENT 'of, it'",
        ),
        (
            "  `a``b%` varchar(9) CHARACTER SET latin1 COLLATE latin1_bin DEFAULT '50%'",
            widened("a`b%", "varchar(9)", "VARCHAR(50)"),
            "`a``b%%` VARCHAR(50) CHARACTER SET latin1 COLLATE latin1_bin DEFAULT '50%%'",
        ),
        (
            "  `at` timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp() COMMENT 'DEFAULT now()',",
            widened("at", "timestamp", "TIMESTAMP(6)"),
            "`at` TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6) COMMENT 'DEFAULT now()'",
        ),
    ],
)
def test_a_wider_column_keeps_the_rest_of_its_definition(line: str, column: WidenedColumn, definition: str) -> None:
    """Default, comment, character set and others stay; the present time gets the new type's digits."""
    assert redefined(["CREATE TABLE `t` (", line, ") ENGINE=InnoDB"], column, quote) == definition


def test_a_definition_that_is_not_understood_is_refused() -> None:
    """A column with an unknown definition is not changed: the error says what to do."""
    with pytest.raises(TableError, match=r"'n' could not be read\. Widen it to BIGINT yourself"):
        redefined(["CREATE TABLE `t` (", "  `n` int /* compressed */,"], widened("n", "int(11)", "BIGINT"), quote)
