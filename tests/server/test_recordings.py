"""What a real server answered, and what ours answers to the same requests."""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.wire import Answer, config, post, run_sqlite, send

GOLDEN = Path(__file__).parents[1] / "golden"
RECORDINGS: dict[str, dict[str, Any]] = {
    recording["name"]: recording for recording in json.loads((GOLDEN / "http.json").read_text(encoding="utf-8"))
}

# Where ours answers differently on purpose: status, and words of its message.
OURS = {
    "hash_no_pk_500": (422, "has no primary key"),
    "hash_bad_table_500": (422, "no table 'missing'"),
    "table_bad_table_500": (422, "no table 'missing'"),
    # A disk that is not mounted must not look like one without files.
    "filehashes_missing": (500, "No such file or directory"),
    # One spelling for each file; no client sends another.
    "files_bad_dotdot_inside": (422, "has an empty, '.' or '..' component"),
    "files_bad_dotslash": (422, "has an empty, '.' or '..' component"),
    "files_bad_doubleslash": (422, "has an empty, '.' or '..' component"),
    "files_bad_dotdot": (422, "has an empty, '.' or '..' component"),
    "files_bad_dotonly": (422, "has an empty, '.' or '..' component"),
    "files_bad_backslash": (404, "No such file"),
    "files_bad_absent": (404, "No such file"),
    "files_bad_case": (404, "No such file"),
    "files_bad_directory": (422, "It is a directory"),
    # Nothing of the first file is sent when the second is not there.
    "files_absent_second": (404, "'absent.txt'"),
    "files_absent_throw": (404, "'absent.txt'"),
    # Links are not followed, neither out of the root nor inside it.
    "files_symlink_dir": (422, "links are not followed"),
    # The same status, with the reason.
    "filehashes_names": (500, "is not valid UTF-8"),
}

# Names that the existing server cannot send, and ours can: the file's name and content.
MORE = {
    "files_trim_lead": (" lead.txt", b"l"),
    "files_backslash_name": ("back\\slash.txt", b"b"),
    "files_newline_name": ("new\nline.txt", b"n"),
}

MIXED = {
    ".dotfile": "dot", ".gitignore": "ign", ".hiddendir/h.txt": "h", "9": "9", "10": "10", "B.txt": "B", "a.txt": "hello\n",
    "e\u0301.txt": "nfd", "pct%41.txt": "p", "quo\"te's&+%=.txt": "q", "sub/deep/er/d.txt": "deep", "sub/x.txt": "x",
    "with space.txt": "s", "zero.bin": "", "\u00fcn\u00ef-\U0001f600.txt": "u",
}  # fmt: skip

TABLES = [
    "CREATE TABLE v_basic (id INT PRIMARY KEY, a VARCHAR(50), b INT)",
    "INSERT INTO v_basic VALUES (1,'one',10),(2,'two',NULL),(3,NULL,-5),(4,'',0)",
    "CREATE TABLE v_empty (id INT PRIMARY KEY, a VARCHAR(50))",
    "CREATE TABLE v_aliased_key (id INT PRIMARY KEY, a VARCHAR(9))",
    "INSERT INTO v_aliased_key VALUES (1,'al'),(2,'ias')",
    "CREATE TABLE other (id INT PRIMARY KEY, a INT)",
    "INSERT INTO other VALUES (1,1),(2,2)",
    "CREATE TABLE v_no_pk (a INT)",
]


def write(root: Path, files: dict[str, str]) -> str:
    """Write files below ``root``."""
    root.mkdir()
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return str(root)


def served(database: str, root: Path, **settings: Any) -> ServerConfig:
    """Build what the real server offered when it was recorded."""
    mixed = write(root / "mixed", MIXED)
    directories = {
        "mixed": mixed,
        "mixed_throw": mixed,
        'quote"name': mixed,
        "empty": write(root / "empty", {}),
        "num": write(root / "num", {"0": "n0", "1": "n1", "2": "n2"}),
        "big": write(root / "big", {"a_small.txt": "small"}),
        "one": write(root / "one", {name: content.decode() for name, content in MORE.values()}),
        "sym_skip": write(root / "sym_skip", {"target.txt": "t"}),
        "sym": write(root / "sym", {}),
        "names": write(root / "names", {}),
        "missing": str(root / "missing"),
    }
    (root / "sym_skip" / "link.txt").symlink_to("target.txt")
    (root / "sym" / "etclink").symlink_to("/etc")
    (root / "names" / os.fsdecode(b"\xff.txt")).write_text("")
    return config(
        database,
        tables={
            "v_basic": {},
            "v_empty": {},
            "v_no_pk": {},
            "any name/1 é": {"table": "v_aliased_key"},
            "php_lab2.other": {"table": "other"},
            "bad_table": {"table": "missing"},
            "y" * 256: {"table": "v_basic"},
        },
        directories={name: {"path": path} for name, path in directories.items()},
        **settings,
    )


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve what was recorded, from SQLite."""
    root = tmp_path_factory.mktemp("recorded")
    run_sqlite(root / "source.db", ";".join(TABLES))
    with RunningServer(served(f"sqlite:///{root / 'source.db'}", root), prefix="/api/sync") as server:
        yield server.url


@pytest.fixture(scope="module")
def guarded_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the same to those who have the token."""
    root = tmp_path_factory.mktemp("guarded")
    run_sqlite(root / "source.db", ";".join(TABLES))
    settings = served(f"sqlite:///{root / 'source.db'}", root, tokens=["secret-token"])
    with RunningServer(settings, prefix="/api/sync") as server:
        yield server.url


def replay(url: str, recording: dict[str, Any]) -> Answer:
    """Send a recorded request."""
    request = recording["request"]
    method, path = request["line"].split(" ", 1)
    return send(url, method, path, body=request["body"].encode(), headers=request["headers"])


def recorded_body(response: dict[str, Any]) -> bytes:
    """Return the recorded body."""
    return base64.b64decode(response["body_base64"]) if "body_base64" in response else response["body"].encode()


def same(answer: Answer, recording: dict[str, Any]) -> None:
    """Assert that an answer is the recorded one."""
    response = recording["response"]
    assert answer.status == response["status"], answer.body
    for name, value in response["headers"].items():
        # The recorder read UTF-8 as Latin-1 once more than the wire does.
        expected = value.encode("latin-1").decode("utf-8") if name == "Content-Disposition" else value
        assert answer.headers[name.lower()] == expected
    assert "content-encoding" not in answer.headers
    assert "server" not in answer.headers
    expected_body = recorded_body(response)
    if response["headers"].get("Content-Type") == "application/octet-stream":
        assert "content-length" not in answer.headers
        assert answer.headers["transfer-encoding"] == "chunked"
    if expected_body.startswith(b"\x1f\x8b"):
        inflater = zlib.decompressobj(wbits=31)
        assert inflater.decompress(answer.body) == zlib.decompress(expected_body, wbits=31)
        assert inflater.eof
        assert not inflater.unused_data
    elif expected_body.startswith(b'{"hashes":{'):
        # The order of paths is that of a disk, there and here.
        expected_hashes = json.loads(expected_body)["hashes"]
        expected_hashes.pop("fifty.bin", None)  # whose content was not recorded
        assert json.loads(answer.body)["hashes"] == expected_hashes
    else:
        assert answer.body == expected_body


@pytest.mark.parametrize("name", sorted(RECORDINGS.keys() - OURS.keys() - MORE.keys()))
def test_same_answer(url: str, guarded_url: str, name: str) -> None:
    """Every recorded request gets the same answer as from the existing server."""
    same(replay(guarded_url if name.startswith("auth_") else url, RECORDINGS[name]), RECORDINGS[name])


@pytest.mark.parametrize("name", sorted(OURS))
def test_better_answer(url: str, name: str) -> None:
    """Where existing servers fail or guess, the answer of this server names the error."""
    status, words = OURS[name]
    answer = replay(url, RECORDINGS[name])
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
    assert words in answer.body.decode().replace("\\/", "/").replace("\\u2019", "'")
    assert b"recorded" not in answer.body  # a part of the path of every directory here
    json.loads(answer.body)


@pytest.mark.parametrize("name", sorted(MORE))
def test_more_files(url: str, name: str) -> None:
    """Names that existing servers cannot send are sent unchanged."""
    path, content = MORE[name]
    answer = replay(url, RECORDINGS[name])
    metadata = json.dumps({"file": path, "size": len(content)}, separators=(",", ":")).encode()
    assert (answer.status, answer.body) == (200, len(metadata).to_bytes(4) + metadata + content)


def test_every_engine(database_url: str, tmp_path: Path) -> None:
    """The recorded answers about tables are the same from every database."""
    engine = open_engine(database_url)
    with engine.begin() as connection:
        for statement in TABLES:
            connection.execute(sqlalchemy.text(statement))
    engine.dispose()
    with RunningServer(served(database_url, tmp_path), prefix="/api/sync") as server:
        for name, recording in RECORDINGS.items():
            if name.startswith(("hash_", "table_")) and name not in OURS:
                same(replay(server.url, recording), recording)
        for name in ("hash_no_pk_500", "hash_bad_table_500", "table_bad_table_500"):
            assert replay(server.url, RECORDINGS[name]).status == 422


VECTORS: list[dict[str, Any]] = json.loads((GOLDEN / "tables.json").read_text(encoding="utf-8"))


def options(vector: dict[str, Any]) -> dict[str, Any]:
    """Return the options under which a golden table was served."""
    return {"table": vector["table"]} | ({"primary": vector["primary"]} if "primary" in vector else {})


@pytest.mark.parametrize("engine", ["mysql", "sqlite"])
def test_golden_tables(request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
    """Every golden table is sent like by an existing server, line for line, with its hash as ETag."""
    vectors = [vector for vector in VECTORS if vector["engine"] == engine]
    scripts = [(GOLDEN / "tables" / f"{vector['name']}.sql").read_text(encoding="utf-8") for vector in vectors]
    if engine == "sqlite":
        run_sqlite(tmp_path / "golden.db", "\n".join(scripts))
        database = f"sqlite:///{tmp_path / 'golden.db'}"
    else:
        database = request.getfixturevalue("mariadb_url")
        run_mariadb(database, scripts)
    different = {}
    with RunningServer(config(database, tables={vector["name"]: options(vector) for vector in vectors})) as server:
        for vector in vectors:
            expected = (GOLDEN / "tables" / f"{vector['name']}.ndjson").read_bytes()
            answer = post(server.url, "/getTable", {"config_name": vector["name"], "hash": "0" * 40})
            if b"\n\n" in b"\n" + expected or vector["name"] == "no_pk":
                # There a real server loses rows, or pages through them in no order.
                if answer.status != 422:
                    different[vector["name"]] = (answer.status, "not refused")
                continue
            body = zlib.decompress(answer.body, wbits=31) if answer.status == 200 else answer.body
            if body != expected:
                different[vector["name"]] = (answer.status, body[:500])
            if vector["hash"] and answer.headers.get("etag") != f'"{vector["hash"]}"':
                different[f"{vector['name']} hash"] = (answer.status, answer.headers.get("etag"))
    assert different == {}


def run_mariadb(url: str, scripts: list[str]) -> None:
    """Run scripts whose statements end with a semicolon and a line end."""
    engine = open_engine(url)
    with engine.connect() as connection:
        for script in scripts:
            for statement in script.split(";\n"):
                if statement.strip():
                    connection.exec_driver_sql(statement.replace("%", "%%"))
        connection.exec_driver_sql("COMMIT")
    engine.dispose()
