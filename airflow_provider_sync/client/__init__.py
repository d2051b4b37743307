"""The client's side of the protocol, over HTTP.

:class:`SyncClient` asks and checks that an answer is one that the protocol allows. Writing what it brings to databases and
directories belongs to ``sync``.
"""

from airflow_provider_sync.client.answers import FilesAnswer, TableAnswer
from airflow_provider_sync.client.body import Traffic
from airflow_provider_sync.client.sync_client import SyncClient
from airflow_provider_sync.client.table_streams import DescribedAnswer, RowDigestsAnswer, RowsAnswer

__all__ = ["DescribedAnswer", "FilesAnswer", "RowDigestsAnswer", "RowsAnswer", "SyncClient", "TableAnswer", "Traffic"]
