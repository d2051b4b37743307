"""A source and a target under connections of Airflow, and the packages that its old connection form is made with."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from tests.object_store import bucket, object_store
from tests.source_server import source, target

__all__ = ["bucket", "form_stand_ins", "object_store", "source", "target"]


@pytest.fixture
def form_stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put what Airflow itself puts in the place of the packages of its old connection form, which it does not need."""
    # Imported with this file, Airflow would come before the home that tests give it.
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    modules: dict[str, dict[str, Any]] = {
        "flask_appbuilder": {},
        "flask_appbuilder.fieldwidgets": {"BS3TextFieldWidget": HookMetaService.MockAnyWidget},
        "flask_babel": {"lazy_gettext": str},
        "wtforms": {
            "BooleanField": HookMetaService.MockBooleanField,
            "IntegerField": HookMetaService.MockIntegerField,
            "StringField": HookMetaService.MockStringField,
        },
    }
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
