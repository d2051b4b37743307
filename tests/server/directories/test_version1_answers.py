"""Version 1 directories: what an answer says of files that are not offered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.server.directories.served_files import make, serving
from tests.server.wire import post

EXCLUDED = {
    "a file": "private/key",
    "nothing": "private/none",
    "a directory": "private/folder",
    "a link": "private/link",
    "below a file": "private/key/none",
}


@pytest.mark.parametrize("options", [{"exclude": ["private/**"]}, {"include": ["public/**"]}], ids=["exclude", "include"])
def test_files_that_are_not_offered(tmp_path: Path, options: dict[str, Any]) -> None:
    """The answer for a file that is not offered is the same for missing and existing files of any kind."""
    make(tmp_path, {"private/key": b"secret", "private/folder/file": b"secret", "public/file": b"offered"})
    (tmp_path / "private" / "link").symlink_to("../public/file")
    with serving(tmp_path, **options) as url:
        answers = {what: post(url, "/getFiles", {"config_name": "d", "files[]": path}) for what, path in EXCLUDED.items()}
        assert post(url, "/getFiles", {"config_name": "d", "files[]": "public/file"}).status == 200
        assert b"'..' component" in post(url, "/getFiles", {"config_name": "d", "files[]": "private/../x"}).body
    for what, answer in answers.items():
        shown = EXCLUDED[what].replace("/", "\\/")
        words = f"{{\"files\":[\"Cannot read '{shown}' in 'd': it is excluded by the server's configuration.\"]}}"
        assert (answer.status, answer.body.decode()) == (404, words), what
