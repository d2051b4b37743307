"""A server that lies: one value of one message of version 2 is another one, in a stream that is otherwise whole."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from airflow_provider_sync.protocol.v2 import framing
from airflow_provider_sync.protocol.v2.framing import NO_DIGEST, FramedContent
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.database_servers import MARIADB, POSTGRESQL, DatabaseServers
from tests.faults.kinds import Kind, Trial
from tests.faults.site import DIFFERENCE, FIRST, site
from tests.faults.states import check_reports, check_whole
from tests.faults.streams import expect_new_from

_MESSAGES = 12
"""Messages of a sync among which one is chosen."""

NO_CONTENT = msgspec.msgpack.encode(b"")

_add_content = FramedContent.add


class _LyingEncoder:
    """Encodes messages as the server does, one of them changed."""

    def __init__(self) -> None:
        self.chance: random.Random | None = None
        self._encoder = msgspec.msgpack.Encoder()
        self._left = 0

    def lie(self, chance: random.Random | None) -> None:
        """Change one of the next messages; with ``None`` tell the truth."""
        self.chance = chance
        self._left = chance.randrange(_MESSAGES) if chance else -1

    def encode_into(self, message: Any, frame: bytearray, offset: int) -> None:
        """Encode a message behind the first ``offset`` bytes."""
        if self.chance is None or self._left != 0:
            self._left -= 1
            self._encoder.encode_into(message, frame, offset)
            return
        self._left = -1
        truth = self._encoder.encode(message)
        told = b""
        while not _can_be_completed(told, truth):
            told = self._encoder.encode(lie_somewhere(msgspec.msgpack.decode(truth), self.chance))
        frame[offset:] = told

    def add_content(self, framed: FramedContent, place: memoryview, digest: bytes | None = None) -> None:
        """Take content as :meth:`.FramedContent.add` does, one bit of it or of its digest changed."""
        self._left -= 1
        if self.chance is not None and self._left == -1:
            if digest is not None and (not place or self.chance.random() < 0.5):
                digest = _flip(digest, self.chance)
            elif place:
                place[:] = _flip(bytes(place), self.chance)
        _add_content(framed, place, digest)


def _can_be_completed(told: bytes, truth: bytes) -> bool:
    """Whether the server can put content behind a message, and a digest into it, where it does so with the true one."""
    return bool(told) and told.endswith(NO_CONTENT) >= truth.endswith(NO_CONTENT) and (NO_DIGEST in told) >= (NO_DIGEST in truth)


def lie_somewhere(value: Any, chance: random.Random) -> Any:
    """Change one value, however deep, of what a message holds."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        return {**value, key: lie_somewhere(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.85:
        place = chance.randrange(len(value))
        return [*value[:place], lie_somewhere(value[place], chance), *value[place + 1 :]]
    return _another(value, chance)


def _another(value: Any, chance: random.Random) -> Any:
    choices: list[Callable[[], Any]] = [lambda: None, lambda: -1, lambda: "", list, dict]
    match value:
        case bool():
            choices = [lambda: not value]
        case int():
            choices += [
                lambda: value + 1,
                lambda: value - 1,
                lambda: -value,
                lambda: 2**63 - 1,
                lambda: 2**64 - 1,
                lambda: value * 1000,
            ]
        case str():
            choices += [
                lambda: value + "x",
                lambda: "../" + value,
                lambda: value + "\0",
                lambda: value.upper(),
                lambda: "x" * 100_000,
            ]
        case bytes():
            choices += [lambda: value[:-1], lambda: value + b"\0", lambda: _flip(value, chance), lambda: value + value]
        case list():
            choices += [lambda: value[1:], lambda: value[:-1], lambda: value + value, lambda: value[::-1], lambda: value * 1000]
        case dict():
            choices += [lambda: dict(list(value.items())[1:]), lambda: {**value, "other": 1}]
    return chance.choice(choices)()


def _flip(value: bytes, chance: random.Random) -> bytes:
    if not value:
        return b"\1"
    place = chance.randrange(len(value))
    return value[:place] + bytes([value[place] ^ (1 << chance.randrange(8))]) + value[place + 1 :]


@contextmanager
def lying(servers: DatabaseServers, folder: Path, **options: Any) -> Iterator[Trial]:
    """Sync from a server that tells one lie."""
    encoder = _LyingEncoder()
    with pytest.MonkeyPatch.context() as patch:
        # The two places where messages are written.
        patch.setattr(framing, "_encoder", encoder)
        patch.setattr(FramedContent, "add", lambda framed, place, digest=None: encoder.add_content(framed, place, digest))
        with site(servers, folder, **options) as made, RunningServer(made.server_config) as server:

            def trial(chance: random.Random) -> str:
                made.reset()
                encoder.lie(chance)
                reports = made.sync(server.url, timeout=10)
                encoder.lie(None)
                found = made.state()
                outcome = check_whole(found, made.old, made.new)
                check_reports(reports, found, made.old, made.new)
                expect_new_from(made, server.url)
                return outcome

            yield trial


KINDS = [
    Kind(f"lie-{place}", f"the server lies in one value ({place})", partial(lying, **options), 300)
    for place, options in {
        "first": {"shape": FIRST},
        "difference": {"shape": DIFFERENCE},
        "mariadb": {"target": MARIADB},
        "postgresql": {"target": POSTGRESQL},
    }.items()
]
