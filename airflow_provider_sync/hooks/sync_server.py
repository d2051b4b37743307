"""The hook that talks to a sync server, by what a connection of the type ``sync`` says."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_sync.airflow_support.rendered_arguments import check_listed, read_tables
from airflow_provider_sync.airflow_support.server_connection import client_config
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import ConfigurationError, SyncError
from airflow_provider_sync.provider_info import get_provider_info
from airflow_provider_sync.sync.pattern_resolution import matched_names

if TYPE_CHECKING:
    from airflow_provider_sync.client import FilesAnswer, TableAnswer
    from airflow_provider_sync.config import ClientConfig


class SyncServerHook(BaseHook):
    """Talk to a sync server.

    Its methods raise :class:`~airflow_provider_sync.exceptions.SyncError`; wrap calls in a task of your own in
    :func:`~airflow_provider_sync.airflow_support.task_failures.failing_tasks`, so that what no retry can fix fails at once.

    :param sync_conn_id: connection of the type ``sync``
    """

    conn_name_attr = "sync_conn_id"
    default_conn_name = "sync_default"
    conn_type = "sync"
    hook_name = "Sync server"

    def __init__(self, sync_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sync_conn_id = sync_conn_id

    def get_config(self) -> ClientConfig:
        """Read the connection.

        :raises ConfigurationError: when there is none, or naming the field that is wrong
        """
        with self._missing_connection():
            return client_config(self.get_connection(self.sync_conn_id))

    async def aget_config(self) -> ClientConfig:
        """Read the connection from an event loop, as in the triggerer; see :meth:`get_config`."""
        with self._missing_connection():
            return client_config(await self.aget_connection(self.sync_conn_id))

    def get_client(self) -> SyncClient:
        """Make a client from the connection; the caller closes it, or uses it as a context manager."""
        return SyncClient.from_config(self.get_config())

    def get_conn(self) -> SyncClient:
        """Return the client that the methods of this hook share; it lives as long as the hook."""
        return self._client

    def list_tables(self, tables: str | Sequence[str] = "*", *, exclude: Sequence[str] = ()) -> list[str]:
        """Return the names of tables that the server offers and that patterns match (version 2 of the protocol).

        :param tables: a pattern or a name, or a list of them; names are returned as they are
        :param exclude: names, or patterns of names, that the patterns leave out
        :raises ConfigurationError: when a pattern matches nothing, or a name that operators would not take as this name
        """
        names = matched_names(self._client, read_tables("tables", tables, {"exclude": list(exclude) or None}))
        check_listed(names)
        return names

    def get_table_hash(self, name: str) -> str:
        """Ask for the hash of a table: 40 hexadecimal digits, or ``--EMPTY--``."""
        return self._client.get_table_hash(name)

    def get_table(self, name: str, hash: str | None = None) -> TableAnswer | None:  # noqa: A002  # the protocol's word
        """Ask for the rows of a table.

        :param hash: of the target; the server sends nothing when its own is equal
        :return: a context manager that iterates over batches of rows, or ``None`` when the hashes are equal
        """
        return self._client.get_table(name, hash)

    def get_file_hashes(self, name: str) -> dict[str, str]:
        """Ask for the files of a directory: path to digest."""
        return self._client.get_file_hashes(name)

    def get_files(self, name: str, paths: list[str]) -> FilesAnswer:
        """Ask for the content of files.

        :return: a context manager that iterates over frames, one for each path, in order
        """
        return self._client.get_files(name, paths)

    def test_connection(self) -> tuple[bool, str]:
        """Return whether a sync server answers under the connection's URL and accepts its credentials, and a sentence."""
        try:
            config = self.get_config()
            # No retries, and one time limit: a user waits for the answer in a browser.
            with SyncClient.from_config(config.model_copy(update={"retries": 0})) as client, client.within(config.timeout):
                client.ping()
        except SyncError as error:
            return False, str(error)
        return True, f"A sync server answers at {config.url}."

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Describe the standard fields of the connection form, for Airflow 3.1."""
        behaviour = _connection_type()["ui-field-behaviour"]
        return {key.replace("-", "_"): value for key, value in behaviour.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Describe the further fields of the connection form, for Airflow 3.1."""
        # Airflow 3 needs none of these packages; where they are missing, it puts stand-ins of its own in their place.
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from flask_babel import lazy_gettext
        from wtforms import BooleanField, IntegerField, StringField

        kinds = {"boolean": BooleanField, "integer": IntegerField, "number": IntegerField}
        widgets = {}
        for name, field in _connection_type()["conn-fields"].items():
            kind = kinds.get(field["schema"]["type"][0], StringField)
            look = {} if kind is BooleanField else {"widget": BS3TextFieldWidget()}
            widgets[name] = kind(
                lazy_gettext(field["label"]), description=field["description"], default=field["schema"].get("default"), **look
            )
        return widgets

    @contextmanager
    def _missing_connection(self) -> Iterator[None]:
        try:
            yield
        except AirflowNotFoundException as error:
            variable = f"AIRFLOW_CONN_{self.sync_conn_id.upper()}"
            if os.environ.get(variable):
                # Airflow passes over what it cannot read.
                raise ConfigurationError(
                    f"The environment variable {variable} is no connection that Airflow can read. Write it as JSON, or"
                    " percent-encode the token in its URI."
                ) from error
            raise ConfigurationError(
                f"There is no connection {self.sync_conn_id!r}. Make one of the type {self.hook_name!r}, or name another"
                " with sync_conn_id."
            ) from None

    @cached_property
    def _client(self) -> SyncClient:
        return self.get_client()


def _connection_type() -> dict[str, Any]:
    described: dict[str, Any] = get_provider_info()["connection-types"][0]
    return described
