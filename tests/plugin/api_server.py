"""Airflow's own API server in the test's process, with users of each role."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any, Self

from starlette.testclient import TestClient

from tests.airflow_runs import migrate_metadata_database

USERS = "ann:admin,otto:op,vera:viewer"


class ApiServer:
    """The application as the API server runs it, plugin included; a context manager.

    :param settings: of Airflow, such as ``AIRFLOW__SYNC__SERVER_CONFIG``; they hold until the end
    """

    def __init__(self, settings: dict[str, str]) -> None:
        self._settings = {
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": USERS,
            "AIRFLOW__API_AUTH__JWT_SECRET": "a secret that is long enough " * 4,
            **settings,
        }
        self._before: dict[str, str | None] = {}
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        from airflow import plugins_manager
        from airflow.api_fastapi.app import create_app, purge_cached_app

        migrate_metadata_database()
        self._before = {name: os.environ.get(name) for name in self._settings}
        os.environ.update(self._settings)
        _forget(plugins_manager)
        purge_cached_app()
        self.client = self._exit.enter_context(TestClient(create_app(), follow_redirects=False))
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()
        for name, value in self._before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

    def token(self, user: str) -> str:
        """Return a JWT of a user, as ``POST /auth/token`` gives it."""
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

        roles = dict(entry.split(":") for entry in USERS.split(","))
        return get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=user, role=roles[user]))

    def get(self, path: str, user: str | None = None, **options: Any) -> Any:
        """Ask for a path as a user, or as nobody."""
        authorization = {"Authorization": f"Bearer {self.token(user)}"} if user else {}
        return self.client.get(path, headers={**authorization, **options.pop("headers", {})}, **options)


def _forget(plugins_manager: Any) -> None:
    """Have plugins loaded anew: that happens once in a process, and here each test has settings of its own."""
    if hasattr(plugins_manager, "_get_plugins"):
        for cached in (plugins_manager._get_plugins, plugins_manager.get_fastapi_plugins, plugins_manager._get_ui_plugins):
            cached.cache_clear()
        return
    # As Airflow 3.1 keeps them.
    plugins_manager.loaded_plugins.clear()
    for name in ("plugins", "fastapi_apps", "fastapi_root_middlewares", "external_views", "react_apps"):
        setattr(plugins_manager, name, None)
