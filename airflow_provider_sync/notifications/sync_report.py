"""The notifier that sends what a sync did: to a webhook, or through a notifier of another provider."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import requests
from airflow.providers.common.compat.sdk import BaseHook, BaseNotifier, Context
from asgiref.sync import sync_to_async

from airflow_provider_sync.airflow_support.callback_reports import reports_of
from airflow_provider_sync.airflow_support.server_connection import base_url
from airflow_provider_sync.exceptions import TransportError

DEFAULT_TEXT = (
    "{{ sync.summary }}"
    "{% if sync.error not in sync.summary %}\n\n{{ sync.error }}{% endif %}"
    "{% if sync.table %}\n\n```\n{{ sync.table }}\n```{% endif %}"
)
"""The summary, the error, and the table of reports as code, which Slack, Mattermost and Google Chat show with equal widths."""

TIMEOUT_SECONDS = 30.0


class SyncReportNotifier(BaseNotifier):
    """Send what a sync did, as a callback of a task or DAG, or of a deadline of Airflow's.

    Templates have the variable ``sync`` beside those of the context: ``sync.summary``, ``sync.table``, ``sync.error``,
    ``sync.subject``, ``sync.reports``, ``sync.of_status('failed')``. In ``text``, their ``&``, ``<`` and ``>`` are entities, as
    Slack and HTML want them. Without ``conn_id`` and ``via`` the text goes to the log, as it is.

    .. seealso:: The how-to guide "Know when a copy is stale".

    :param text: template of the message
    :param conn_id: connection of a webhook that takes ``{"text": …}``, such as one of Slack, Mattermost or Google Chat: host is
        the first part of its URL, and password the secret rest
    :param via: notifier of another provider, whose templates may use ``sync`` and, for the whole message, ``sync_text``
    :param skip_unchanged: send nothing when nothing changed and nothing failed
    """

    template_fields: Sequence[str] = ("conn_id",)

    def __init__(
        self,
        *,
        text: str = DEFAULT_TEXT,
        conn_id: str | None = None,
        via: BaseNotifier | None = None,
        skip_unchanged: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.text = text
        self.conn_id = conn_id
        self.via = via
        self.skip_unchanged = skip_unchanged

    def notify(self, context: Context) -> None:
        """Send the message.

        :raises TransportError: when the webhook does not take it; the message names no part of its URL
        """
        found = reports_of(context)
        if self.skip_unchanged and not found.changed:
            return
        values: Any = {**context, "sync": found}
        if self.conn_id is None and self.via is None:
            self.log.info("%s", self.render_template(self.text, values))
            return
        escaped: Any = {**context, "sync": found.escaped()}
        text = self.render_template(self.text, escaped)
        if self.conn_id is not None:
            _post(self.conn_id, text)
        if self.via is not None:
            self.via({**values, "sync_text": text})

    async def async_notify(self, context: Context) -> None:
        """Send the message from the triggerer, in which deadlines call this."""
        # On Airflow 3.1 and 3.2 only threads created by asgiref can talk to the triggerer.
        await sync_to_async(self.notify, thread_sensitive=False)(context)


def _post(conn_id: str, text: str) -> None:
    connection = BaseHook.get_connection(conn_id)
    url = base_url(connection)
    if connection.password:
        url = f"{url}/{connection.password.lstrip('/')}"
    try:
        # The body of the answer is not read: it could be endless.
        with requests.post(url, json={"text": text}, timeout=TIMEOUT_SECONDS, stream=True) as answer:
            status = answer.status_code
    except requests.RequestException as error:
        # Its text has the URL, whose path is a secret.
        raise TransportError(f"The webhook of connection {conn_id!r} does not answer ({type(error).__name__}).") from None
    if status >= HTTPStatus.BAD_REQUEST:
        raise TransportError(f"The webhook of connection {conn_id!r} answered with status {status}.")
