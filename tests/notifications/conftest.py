"""A source and a target under connections of Airflow."""

from tests.source_server import source, target

__all__ = ["source", "target"]
