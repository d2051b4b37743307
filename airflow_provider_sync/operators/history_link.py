"""The link from a task to the history of its syncs."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import airflow
from airflow.providers.common.compat.sdk import BaseOperatorLink, conf

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey  # noqa: TID251  # only named here

STATUS_PREFIX = "/sync-status"
"""Path of the API server at which the plugin mounts the history."""

URL_ROUTE = "sync"
"""Route of the Airflow page that embeds the history."""

_FRAMES_TAKE_PATHS = tuple(map(int, airflow.__version__.split(".")[:2])) >= (3, 3)


class SyncHistoryLink(BaseOperatorLink):
    """Link a task to the page that shows the past syncs of its tables and directories."""

    name = "Sync history"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the URL of the page, built from the ids of DAG and task.

        From Airflow 3.3 on, the URL opens the page embedded in Airflow's UI. Older versions can embed only the plugin's first
        page, so there the URL opens the page on its own.
        """
        base_url = conf.get("api", "base_url", fallback="").rstrip("/")
        frame = f"/plugin/{URL_ROUTE}{urlsplit(base_url).path}" if _FRAMES_TAKE_PATHS else ""
        return f"{base_url}{frame}{STATUS_PREFIX}/?{urlencode({'job': f'{ti_key.dag_id}/{ti_key.task_id}'})}"
