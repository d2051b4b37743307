"""A source, a target and a bucket under connections of Airflow."""

from tests.object_store import bucket, object_store
from tests.source_server import source, target

__all__ = ["bucket", "object_store", "source", "target"]
