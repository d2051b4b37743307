"""Requests of one address in a minute."""

from __future__ import annotations

import json
import math

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.server.access.request_rates import Rates
from airflow_provider_sync.server.app import create_app
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.wire import send


def test_rates() -> None:
    """An address may send a minute's requests at once, then one in each share of a minute, independently of other addresses."""
    now = 1000.0
    rates = Rates(60, clock=lambda: now)
    assert [rates.take("a") for _ in range(60)] == [0.0] * 60
    assert rates.take("a") == pytest.approx(1, abs=0.01)
    assert rates.take("b") == 0
    now += 0.5
    # The first share is the one that was told before.
    assert rates.take("a") == pytest.approx(1.5, abs=0.01)
    now += 0.5
    assert rates.take("a") == 0
    assert rates.take("a") > 0
    now += 600
    assert [rates.take("a") for _ in range(60)] == [0.0] * 60
    assert rates.take("a") > 0


@pytest.mark.parametrize("per_minute", [20, 100, 1000])
def test_who_comes_when_told(per_minute: int) -> None:
    """Simultaneously refused requests get different retry times within a minute, and are then answered."""
    now = start = 1000.0
    rates = Rates(per_minute, clock=lambda: now)
    for _ in range(per_minute):
        rates.take("a")
    told = sorted(math.ceil(rates.take("a")) for _ in range(per_minute))
    for seconds in told:
        now = start + seconds
        assert rates.take("a") == 0
    assert told[-1] == 60
    assert {math.ceil(rates.take("a")) <= 60 for _ in range(3 * per_minute)} == {True}


def test_many_addresses() -> None:
    """Memory is limited for any number of addresses, and recent ones are kept."""
    rates = Rates(1, clock=lambda: 0.0)
    for number in range(10_000):
        assert rates.take(str(number)) == 0
    assert rates.take("9999") > 0


def test_an_address_that_sends_too_much() -> None:
    """A request above ``requests_per_minute`` is answered 429 with ``Retry-After``; ``/health`` always answers."""
    config = ServerConfig.from_dict({"tokens": ["t"], "limits": {"requests_per_minute": 3}})
    with RunningServer(config) as server:
        for _ in range(3):
            assert send(server.url, "GET", "/capabilities", headers={"Authorization": "Bearer t"}).status == 200
        for path, headers, told in (("/capabilities", {"Authorization": "Bearer t"}, 20), ("/nothing", {}, 40)):
            answer = send(server.url, "GET", path, headers=headers)
            assert answer.status == 429
            assert told - 10 <= int(answer.headers["retry-after"]) <= told
            assert "limits.requests_per_minute" in json.loads(answer.body)["message"]
        assert send(server.url, "GET", "/health").status == 200


@pytest.mark.parametrize(("mounted_at", "prefix"), [("", "/api/sync"), ("/sync", ""), ("/sync", "/api")])
def test_health_below_a_path(mounted_at: str, prefix: str) -> None:
    """``/health`` always answers below any path, also in an application that mounts the server."""
    app = create_app(ServerConfig.from_dict({"tokens": ["t"], "limits": {"requests_per_minute": 1}}), prefix=prefix)
    with TestClient(Starlette(routes=[Mount(mounted_at, app)])) as client:
        health = f"{mounted_at}{prefix}/health"
        assert client.get(f"{mounted_at}{prefix}/nothing").status_code == 404
        assert client.get(f"{mounted_at}{prefix}/ready").status_code == 429
        assert client.get(health).status_code == 200


@pytest.mark.parametrize("option", ["requests_per_minute", "scans"])
@pytest.mark.parametrize("value", [0, -1, "many", True])
def test_wrong_limits(option: str, value: object) -> None:
    """A limit that is not a number above 0 is refused with its name."""
    with pytest.raises(ConfigurationError, match=option):
        ServerConfig.from_dict({"limits": {option: value}})
