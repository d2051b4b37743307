"""A source and a target under connections of Airflow."""

from tests.airflow_support.conftest import form_stand_ins, object_store, source, target

__all__ = ["form_stand_ins", "object_store", "source", "target"]
