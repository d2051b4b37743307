"""A server as existing installations are: it knows the four endpoints of version 1, and has nothing at any other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from socket import socket

from tests.client.scripted_server import Answer, Request, ScriptedServer, recorded, scripted_server

NOT_FOUND = recorded("table_unknown_endpoint")


class ExistingServer:
    """Gives the answers of each endpoint in their order, the last one again and again.

    :ivar answers: by endpoint, as ``/getTable``
    """

    def __init__(self, script: ScriptedServer) -> None:
        self.url = script.url
        self.answers: dict[str, list[Answer]] = {}
        self._script = script
        script.answer(self._answer)

    def answer(self, endpoint: str, *answers: Answer) -> None:
        """Set what an endpoint answers."""
        self.answers[endpoint] = list(answers)

    def requests(self, endpoint: str) -> list[Request]:
        """Return what an endpoint was asked."""
        return [request for request in self._script.requests if request.path.endswith(endpoint)]

    def silence(self, connection: socket) -> None:
        """Answer nothing until the test is over."""
        self._script.silence(connection)

    def _answer(self, connection: socket) -> None:
        path = self._script.requests[-1].path
        answers = self.answers.get("/" + path.rpartition("/")[2], [NOT_FOUND])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            answer(connection)
        else:
            connection.sendall(answer)


@contextmanager
def existing_server() -> Iterator[ExistingServer]:
    """Run a server on a free port of the loopback."""
    with scripted_server() as script:
        yield ExistingServer(script)
