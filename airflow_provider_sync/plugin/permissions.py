"""Ask Airflow's auth manager what a user may see."""

from __future__ import annotations

from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from fastapi import Depends
from jwt import InvalidTokenError
from starlette.concurrency import run_in_threadpool

REQUIRES_USER = Depends(requires_access_view(AccessView.WEBSITE))
"""Answers 401 to users who are not logged in, and 403 to those who may not use the user interface."""


def _readable_dags(user: GetUserDep) -> set[str]:
    # Airflow's own routes read it from the state of their application, which a mounted application does not share.
    return get_auth_manager().get_authorized_dag_ids(user=user)


ReadableDags = Annotated[set[str], Depends(_readable_dags)]
"""Ids of the DAGs that the user may read."""


async def may_read_connections(token: str) -> bool:
    """Return whether a token is a valid JWT of this Airflow, and its user may read connections.

    Users who may read connections (by default, from the role Op upwards) could read the databases behind them, too.
    """
    if token.count(".") != 2:
        return False
    manager = get_auth_manager()
    try:
        user = await manager.get_user_from_token(token)
    except InvalidTokenError:
        return False
    return await run_in_threadpool(lambda: manager.is_authorized_connection(method="GET", user=user))
