"""JSON Schemas of ``server.yaml`` and ``client.yaml``, made from the models that check these files, for editors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from airflow_provider_sync.config.client import ClientConfig
from airflow_provider_sync.config.options import VARIABLE
from airflow_provider_sync.config.server import ServerConfig

MODELS: Mapping[str, type[ServerConfig] | type[ClientConfig]] = {"server": ServerConfig, "client": ClientConfig}
"""By what the command line calls them."""


def json_schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a configuration file before its variables are replaced.

    :param kind: ``server`` or ``client``
    """
    schema = MODELS[kind].model_json_schema(schema_generator=_FileSchema)
    properties = schema["properties"]
    for group in ("tables", "directories"):
        # An entry, or the whole group, may be left empty.
        entry = properties[group]["additionalProperties"]
        properties[group]["additionalProperties"] = {"anyOf": [entry, {"type": "null"}]}
        properties[group]["type"] = ["object", "null"]
    # Without options: a pattern, or a list with one.
    pattern = {"type": "string", "pattern": rf"[*?]|{VARIABLE}"}
    properties["tables"]["type"] += ["string", "array"]
    properties["tables"] |= {"pattern": pattern["pattern"], "items": {"type": "string"}, "contains": pattern}
    if kind == "server":
        properties["tokens"]["items"] = {"anyOf": [{"type": "string"}, properties["tokens"]["items"]]}
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": f"{kind}.yaml"}


class _FileSchema(GenerateJsonSchema):
    """Models as a file may have them: ``${NAME}`` may stand for numbers and switches, too."""

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        return _or_variable(super().int_schema(schema), "[0-9]+")

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return _or_variable(super().float_schema(schema), "[0-9.]+")

    def bool_schema(self, schema: core_schema.BoolSchema) -> JsonSchemaValue:
        return _or_variable(super().bool_schema(schema), "true|false")

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Leave titles out, which only repeat the names."""
        return False


def _or_variable(schema: JsonSchemaValue, text: str) -> JsonSchemaValue:
    """Allow text that the value is read from: digits, say, or a variable. Bounds apply to numbers only."""
    return {**schema, "type": [schema["type"], "string"], "pattern": f"^({text})$|{VARIABLE}"}
