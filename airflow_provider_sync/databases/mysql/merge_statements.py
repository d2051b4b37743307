"""The SQL of a merge on MySQL and MariaDB."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from airflow_provider_sync.databases.contract.merge_statements import MergeStatements
from airflow_provider_sync.databases.listed_changes import ListedChanges, ListedRows
from airflow_provider_sync.databases.schema import OP, Column, Kind, Op, Table


class MySQLMergeStatements(MergeStatements):
    """Writes statements with a fixed join order, so that the server looks up and locks only listed rows."""

    straight_join = "STRAIGHT_JOIN"

    def comparable(self, column: Column, alias: str) -> str:
        """Return an expression of the column that ``=`` compares by bytes."""
        name = f"{alias}.{self.quote(column.name)}"
        if column.kind is Kind.JSON:
            # MySQL compares its JSON type by value, so that 1 equals 1.0.
            return self.as_bytes(f"CAST({name} AS CHAR)")
        return self.as_bytes(name) if column.kind is Kind.GEOMETRY else super().comparable(column, alias)

    def as_bytes(self, expression: str) -> str:
        """Return an expression that is compared by bytes, whatever the collation."""
        return f"CAST({expression} AS BINARY)"

    def absent(self, key: Sequence[Column], alias: str) -> str:
        """Use another operator for a date, since ``IS NULL`` is also true for ``0000-00-00``, for compatibility with ODBC."""
        if key[0].kind in (Kind.DATE, Kind.DATETIME):
            return f"{alias}.{self.quote(key[0].name)} <=> NULL"
        return super().absent(key, alias)

    def same(self, column: Column, left: str, right: str) -> str:
        """See :meth:`.MergeStatements.same`."""
        return f"{self.comparable(column, left)} <=> {self.comparable(column, right)}"

    def by_index(self, table: Table, alias: str, key: Sequence[str]) -> str:
        """Force the index: after a crash, the server may take the table for empty, and scan it for each row."""
        visible = (unique for unique in table.unique_keys if not unique.hidden)
        unique = (("PRIMARY", table.primary_key), *((unique.name, unique.columns) for unique in visible))
        index = next((name for name, columns in unique if columns and set(columns) <= set(key)), None)
        return super().by_index(table, alias, key) + (f" FORCE INDEX ({self.quote(index)})" if index else "")

    def removed_rows(self, target: Table, removed: Table, key: Sequence[Column]) -> str:
        """Return the join in an order in which only the listed rows are looked up."""
        target_rows = self.by_index(target, "t", [column.name for column in key])
        return f"{self.qualified(removed)} AS r STRAIGHT_JOIN {target_rows} ON {self.match(key, 't', 'r')}"

    def delete_listed(self, rows: ListedRows, op: Op = Op.DELETE) -> str:
        """Return the statement that deletes the rows listed under ``op``."""
        # Fix the join order, so that only listed rows of the target are looked up and locked.
        return (
            f"DELETE t FROM {self.qualified(rows.work)} AS w STRAIGHT_JOIN {self.by_index(rows.target, 't', rows.key_names)}"
            f" ON {self.match(rows.key, 't', 'w')} WHERE w.{OP} = '{op}'"
        )

    def rename_listed(self, changes: ListedChanges) -> str:
        """Return the statement that rewrites keys in place: rows listed under ``K`` get the bytes of the staged keys."""
        return self._assigned(changes, changes.key_names, Op.RENAME)

    def update_listed(self, changes: ListedChanges, columns: Sequence[str], op: Op = Op.UPDATE) -> str:
        """Return the statement that sets ``columns`` to the staged values in the rows listed under ``op``."""
        return self._assigned(changes, columns, op)

    def set_listed(
        self, rows: ListedRows, values: Mapping[str, str], op: Op, *, kept: Iterable[Column], where: str, loosely: bool = False
    ) -> str:
        """Return the statement with a join order in which only the listed rows are looked up."""
        assigned = {**self._kept((*rows.key, *kept)), **values}
        assignments = ", ".join(f"t.{self.quote(name)} = {value}" for name, value in assigned.items())
        found = self.equal(rows.key, "t", "w") if loosely else self.match(rows.key, "t", "w")
        return (
            f"UPDATE {self.qualified(rows.work)} AS w"
            f" STRAIGHT_JOIN {self.by_index(rows.target, 't', rows.key_names)} ON {found} SET {assignments}"
            f" WHERE w.{OP} = '{op}' AND {where}"
        )

    def self_changing(self, columns: Iterable[Column]) -> list[str]:
        """Return the names of TIMESTAMP and DATETIME columns, which may have ON UPDATE CURRENT_TIMESTAMP."""
        times = (column for column in columns if column.kind in (Kind.TIMESTAMP, Kind.DATETIME))
        return [column.name for column in times if not (column.generated or column.system)]

    def make_unequal(self, changes: ListedChanges, columns: Sequence[str], op: Op = Op.UPDATE) -> str | None:
        """Replace values of MySQL's JSON type that equal the staged ones by value: MySQL does not write 1 over 1.0."""
        unequal = {
            name: (f"t.{self.quote(name)} = s.{self.quote(name)} AND NOT ({self.same(column, 't', 's')})", _other_json(column))
            for column in map(changes.target.column, columns)
            for name in [column.name]
            if column.sql_type.lower() == "json"
        }
        if not unequal:
            return None
        assignments = ", ".join(
            f"t.{self.quote(name)} = IF({equal}, {other.format(f't.{self.quote(name)}')}, t.{self.quote(name)})"
            for name, (equal, other) in unequal.items()
        )
        return (
            f"UPDATE {self._joined(changes, self.match(changes.key, 't', 'w'))} SET {assignments}"
            f" WHERE w.{OP} = '{op}' AND ({' OR '.join(equal for equal, _ in unequal.values())})"
        )

    def _kept(self, columns: Iterable[Column]) -> dict[str, str]:
        """Return assignments that keep the values of the target rows in these columns."""
        return {name: f"t.{self.quote(name)}" for name in self.self_changing(columns)}

    def _assigned(self, changes: ListedChanges, columns: Sequence[str], op: Op) -> str:
        assigned = {name: f"s.{self.quote(name)}" for name in columns}
        assignments = ", ".join(
            f"t.{self.quote(name)} = {value}" for name, value in {**self._kept(changes.key), **assigned}.items()
        )
        found = self.equal(changes.key, "t", "w") if op is Op.RENAME else self.match(changes.key, "t", "w")
        return f"UPDATE {self._joined(changes, found)} SET {assignments} WHERE w.{OP} = '{op}'"

    def _joined(self, changes: ListedChanges, found: str) -> str:
        """Return the join of the work table (``w``), the staging table (``s``) and the target (``t``), in this order.

        :param found: the condition that ``t`` has the key of ``w``
        """
        names = changes.key_names
        return (
            f"{self.qualified(changes.work)} AS w"
            f" STRAIGHT_JOIN {self.by_index(changes.staging, 's', names)} ON {self.match(changes.key, 's', 'w')}"
            f" STRAIGHT_JOIN {self.by_index(changes.target, 't', names)} ON {found}"
        )


def _other_json(column: Column) -> str:
    """Return an expression for JSON that never equals the value ``{}``; an object stays an object, as a CHECK may require."""
    if column.nullable:
        return "NULL"
    return "IF(JSON_TYPE({0}) = 'OBJECT', JSON_OBJECT('sync', {0}), JSON_ARRAY({0}))"
