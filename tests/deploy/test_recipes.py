"""The recipes that cannot be run here are at least what their programs can read."""

from __future__ import annotations

import yaml

from tests.deploy.proxies import RECIPES


def test_traefik() -> None:
    """What Traefik's configuration refers to is there, and it says that it was not run."""
    static, dynamic = [(RECIPES / name).read_text() for name in ("traefik.yaml", "traefik-airflow-sync.yaml")]
    assert all("This recipe was not run." in text for text in (static, dynamic))
    http = yaml.safe_load(dynamic)["http"]
    (router,) = http["routers"].values()
    assert set(router["entryPoints"]) <= yaml.safe_load(static)["entryPoints"].keys()
    assert router["middlewares"] == list(http["middlewares"])
    assert http["services"][router["service"]]["loadBalancer"]["serversTransport"] in http["serversTransports"]
