"""Find out whether the user may write a target table, without writing to it.

The defaults find nothing missing: they suit engines without users.
"""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_sync.databases.contract.component import DatabaseComponent
from airflow_provider_sync.databases.schema import Table


class Privileges(DatabaseComponent):
    """Asks the database for privileges of the user."""

    def missing_grants(self, target: Table, needed: Sequence[str], *, stages: bool) -> list[str]:
        """Return the GRANT statements for privileges that the user lacks on a table, and on all else that a merge needs.

        That is sequences that it moves, temporary tables, and the schema of its staging table.

        A privilege on some columns counts as one on the table: which columns a merge writes depends on the source, too.

        :param needed: of ``SELECT``, ``INSERT``, ``UPDATE`` and ``DELETE``
        :param stages: whether a run makes a permanent staging table beside the target
        """
        return []
