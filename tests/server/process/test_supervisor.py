"""Several processes that answer on one socket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from airflow_provider_sync.cli.main import main
from tests.server.process.running import Running, running, wait_until, write_config
from tests.server.wire import Answer, open_stream, post


def ask(server: Running, token: str = "first") -> Answer:
    """Ask for the files of the directory, over a new connection."""
    return post(server.url, "/getFileHashes", {"config_name": "d"}, token=token)


def test_workers(tmp_path: Path) -> None:
    """A killed worker is replaced, a new configuration reaches all workers, and SIGTERM ends all with 0."""
    (tmp_path / "files").mkdir()
    directories = {"d": {"path": str(tmp_path / "files")}}
    with running(tmp_path, "--workers", "2", tokens=["first"], directories=directories) as server:
        first, second = workers = server.workers
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: len(server.workers) == 2 and server.workers != workers)
        assert second in server.workers
        assert f"(process {first}) ended by signal 9. Another one takes its place." in server.log
        assert {ask(server).status for _ in range(10)} == {200}

        write_config(server.config, tokens=["first"], tabels={})
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "The configuration was not reloaded" in server.log)
        assert {ask(server).status for _ in range(10)} == {200}
        write_config(server.config, tokens=["second"], directories=directories)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: all(ask(server, "second").status == 200 for _ in range(10)))
        assert {ask(server).status for _ in range(4)} == {401}

        workers = server.workers
        assert server.end() == 0
        assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_workers_share_their_limits(tmp_path: Path) -> None:
    """Requests of all workers count together, also after one was killed; workers end with their parent."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "large").write_bytes(bytes(64 << 20))
    fields = [("config_name", "d"), ("files[0]", "large")]
    limits, directories = {"requests": 4}, {"d": {"path": str(tmp_path / "files")}}
    with (
        # A parent that is killed cleans nothing up.
        running(tmp_path, environment={"TMPDIR": str(tmp_path)}, workers=2, limits=limits, directories=directories) as server,
        ExitStack() as stack,
    ):
        for _ in range(4):
            stream = stack.enter_context(closing(open_stream(server.url, "/getFiles", fields)))
            assert stream.recv(12) == b"HTTP/1.1 200"
        for _ in range(6):
            answer = ask(server)
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        workers = server.workers
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: is_answered(server))
        workers = server.workers
        server.process.kill()
        wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def is_answered(server: Running) -> bool:
    """Whether a request is answered with what it asks for."""
    try:
        return ask(server).status == 200
    except OSError:
        return False


def test_wrong_numbers_of_workers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An invalid number of workers is refused, on the command line and in the file."""
    config = write_config(tmp_path / "server.yaml", workers=0)
    for arguments in (["--workers", "0"], ["--workers", "many"]):
        with pytest.raises(SystemExit) as end:
            main(["serve", "--config", str(config), *arguments])
        assert end.value.code == 2
        assert "is not a number from 1 to 1000" in capsys.readouterr().err
    assert main(["serve", "--config", str(config)]) == 2
    assert "workers" in capsys.readouterr().err


SERVE = """
import sys
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.server.process import supervisor
from airflow_provider_sync.server.process.serving import serve
supervisor.HANGING_SECONDS = 10
serve(ServerConfig.from_dict({"workers": 2, "directories": {"d": {"path": sys.argv[1]}}}), port=0)
"""


@pytest.mark.slow
def test_a_worker_that_hangs(tmp_path: Path) -> None:
    """A worker without a sign of life is killed and replaced, and the server still answers."""
    log = tmp_path / "log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", SERVE, str(tmp_path)], stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            server = Running(process, process.stdout.readline().split()[-1], tmp_path, log)
            hanging = server.workers[0]
            os.kill(hanging, signal.SIGSTOP)
            wait_until(lambda: hanging not in server.workers and len(server.workers) == 2)
            assert f"(process {hanging}) hangs, and is killed." in server.log
            assert {ask(server).status for _ in range(6)} == {200}
            assert server.end() == 0
        finally:
            process.kill()
