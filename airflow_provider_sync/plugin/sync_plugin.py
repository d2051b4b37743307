"""The plugin, which Airflow loads in every process: it imports nothing before the API server asks for it."""

from __future__ import annotations

from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import AirflowPlugin, conf

from airflow_provider_sync.operators.history_link import STATUS_PREFIX, URL_ROUTE


class SyncPlugin(AirflowPlugin):
    """Mount the status page, and the sync server where ``[sync] server_config`` names its configuration."""

    name = "sync"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # a class attribute there
        """The applications that the API server mounts; no other process reads this property."""
        from airflow_provider_sync.plugin.mounted_server import mounted_server
        from airflow_provider_sync.plugin.status_app import create_status_app

        status = {"app": create_status_app(), "url_prefix": STATUS_PREFIX, "name": "Sync history"}
        return [status, *mounted_server()]

    @cached_property
    def external_views(self) -> list[dict[str, Any]]:  # type: ignore[override]  # a class attribute there
        """The entry of the menu "Browse", which shows the status page in a frame."""
        root = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
        return [
            {
                "name": "Syncs",
                "href": f"{root}{STATUS_PREFIX}/",
                "destination": "nav",
                "category": "browse",
                "url_route": URL_ROUTE,
            }
        ]
