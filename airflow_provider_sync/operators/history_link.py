"""The link from a task to what its syncs did."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import airflow
from airflow.providers.common.compat.sdk import BaseOperatorLink, conf

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey  # noqa: TID251  # only named here

STATUS_PREFIX = "/sync-status"
"""Where the API server shows the history; the plugin mounts it there."""


URL_ROUTE = "sync"
"""Name of the frame in which Airflow shows the history."""

_FRAMES_HAVE_PLACES = tuple(map(int, airflow.__version__.split(".")[:2])) >= (3, 3)


class SyncHistoryLink(BaseOperatorLink):
    """Lead to the page with the runs of a task's tables and directories."""

    name = "Sync history"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address of the page; it needs nothing that the task would have to leave behind.

        It is in Airflow's frame from 3.3 on; before that, a frame could be opened at its first page only.
        """
        base_url = conf.get("api", "base_url", fallback="").rstrip("/")
        frame = f"/plugin/{URL_ROUTE}{urlsplit(base_url).path}" if _FRAMES_HAVE_PLACES else ""
        return f"{base_url}{frame}{STATUS_PREFIX}/?{urlencode({'job': f'{ti_key.dag_id}/{ti_key.task_id}'})}"
