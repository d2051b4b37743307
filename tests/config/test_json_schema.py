"""The JSON Schemas say what the models accept, and the published ones are those of the code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from airflow_provider_sync.config.json_schema import MODELS, json_schema
from airflow_provider_sync.config.options import Options
from tests.docs.pages import PAGES, PROJECT, blocks, kind_of_configuration

URL = {"url": "http://source.example"}
KINDS = list(MODELS)


def errors(kind: str, settings: Any) -> list[str]:
    """Return what an editor would mark."""
    return [error.message for error in jsonschema.Draft202012Validator(json_schema(kind)).iter_errors(settings)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_published_schema_is_that_of_the_code(kind: str) -> None:
    """The published schema is that of the models; `airflow-sync check --schema KIND > FILE` writes it."""
    published = PROJECT / "docs" / "reference" / "schemas" / f"{kind}.schema.json"
    assert json.loads(published.read_text(encoding="utf-8")) == json_schema(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_is_one(kind: str) -> None:
    """The schema is a valid JSON Schema."""
    jsonschema.Draft202012Validator.check_schema(json_schema(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_every_bound_is_one_that_editors_know(kind: str) -> None:
    """Bounds have JSON Schema's own keywords; unknown ones, such as pydantic's, are ignored by editors."""
    text = json.dumps(json_schema(kind))
    assert not [bound for bound in ("gt", "ge", "lt", "le") if f'"{bound}":' in text]


def test_a_number_above_its_bound_is_marked() -> None:
    """An editor marks a number that the command would refuse."""
    assert errors("client", {**URL, "timeout": 1e20})
    assert errors("client", {**URL, "directories": {"images": {"path": "/srv", "downloads": 65}}})


def examples() -> Iterator[Any]:
    """Give every configuration that the documentation and the contracts show, with its kind."""
    for page in PAGES:
        for number, block in enumerate(blocks(page)):
            if block.language == "yaml":
                yield pytest.param(kind_of_configuration(block.text), block.text, id=f"{page.stem}-{number}")
    for kind in KINDS:
        yield pytest.param(kind, (PROJECT / "tests" / "contracts" / f"{kind}.yaml").read_text(), id=f"contract-{kind}")


class EditorLoader(yaml.SafeLoader):
    """YAML as editors read it, to whom a date is text."""


EditorLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@pytest.mark.parametrize(("kind", "text"), list(examples()))
def test_examples_fit(kind: str, text: str) -> None:
    """The schema accepts the examples, also with variables."""
    assert errors(kind, yaml.load(text, EditorLoader)) == []


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("client", {}),
        ("client", {**URL, "tabels": {}}),
        ("client", {**URL, "retries": "many"}),
        ("client", {**URL, "retries": -1}),
        ("client", {**URL, "protocol": 3}),
        ("client", {**URL, "tables": {"orders": {"name": "orders"}}}),
        ("client", {**URL, "tables": {"orders": {"max_seconds": 0}}}),
        ("client", {**URL, "tables": {"orders": {"max_deletes": "half"}}}),
        ("client", {**URL, "tables": ["orders"]}),
        ("client", {**URL, "directories": {"images": {}}}),
        ("client", {**URL, "limits": {"max_rows": 0}}),
        ("server", {"tokens": "abc"}),
        ("server", {"tokens": [{"tables": ["a"]}]}),
        ("server", {"tokens": [{"token": "a", "token_sha256": "b"}]}),
        ("server", {"tokens": [{"token": "a", "addresses": "10.0.0.0/8"}]}),
        ("server", {"tables": {"orders": {"renames": {}}}}),
    ],
)
def test_mistakes_are_marked(kind: str, settings: dict[str, Any]) -> None:
    """The schema refuses what the models refuse."""
    assert errors(kind, settings)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("client", {**URL, "retries": "${RETRIES}", "timeout": "${SECONDS}", "single_transaction": "${TOGETHER}"}),
        ("client", {**URL, "tables": {"orders": None}, "directories": None}),
        ("client", {**URL, "protocol": 1, "verify": "/etc/ssl/company.pem", "limits": {"max_rows": 10}}),
        ("client", {**URL, "tables": {"orders": {"primary": ["a", "b"], "max_deletes": 10}}}),
        ("client", {**URL, "tables": ["orders", "shop.*"]}),
        ("server", {"tables": "*"}),
        ("server", {"tokens": ["${A}", {"token": "${B}", "tables": ["a"]}], "tables": {"a": {}}}),
    ],
)
def test_what_may_stand_in_a_file(kind: str, settings: dict[str, Any]) -> None:
    """The schema accepts variables and empty sections."""
    assert errors(kind, settings) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_is_described(kind: str) -> None:
    """Every option has a description for editors."""

    def undescribed(schema: dict[str, Any]) -> list[str]:
        return [name for name, option in schema.get("properties", {}).items() if "description" not in option]

    schema = json_schema(kind)
    assert [*undescribed(schema), *(name for model in schema["$defs"].values() for name in undescribed(model))] == []


def test_every_model_is_frozen_and_closed() -> None:
    """No model of options can be changed, and none accepts unknown options."""
    found = [Options]
    for model in found:
        found += model.__subclasses__()
    assert len(found) > 10
    assert all(model.model_config.get("frozen") and model.model_config.get("extra") == "forbid" for model in found)
