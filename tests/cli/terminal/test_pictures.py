"""What the documentation shows of the commands is what they show.

With ``SYNC_SCREENSHOTS`` set to a folder, the pictures are saved there.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

from rich.console import Console
from rich.text import Text

from airflow_provider_sync.cli.terminal.progress_bars import WIDE, Bars
from tests.cli.site import Site, execute
from tests.cli.terminal.pseudo_terminal import on_a_terminal

COLUMNS = 104
SERIES = (
    "WITH RECURSIVE n (i) AS (SELECT 4 UNION ALL SELECT i + 1 FROM n WHERE i < {last})"
    " INSERT INTO {name} SELECT i, 'name ' || i FROM n"
)


def test_commands(site: Site) -> None:
    """``diff``, ``run`` and a misspelt table, as a terminal shows them: tables, marked differences and the next step."""
    for name, last in (("orders", 28_000), ("customers", 1_200)):
        execute(site.source, SERIES.format(name=name, last=last))
    on_a_terminal("run", folder=site.folder)
    execute(site.source, "UPDATE orders SET name = 'new' WHERE id = 17", "DELETE FROM customers WHERE id = 1200")
    (site.folder / "images" / "logo.png").write_bytes(bytes(1234))
    screen = recorder()
    for arguments in (["diff"], ["run"], ["run", "--table", "odrers"]):
        shown = on_a_terminal(*arguments, folder=site.folder, columns=COLUMNS)
        screen.print(Text(f"$ airflow-sync {' '.join(arguments)}", "bold"))
        screen.print(Text.from_ansi(lasting(shown.text)))
        screen.print()
    picture = save(screen, "commands")
    assert {"planned", "changed"} <= words(picture)
    assert "~ 17" in text_of(picture)
    assert "Did you mean 'orders'?" in text_of(picture)


def test_progress() -> None:
    """Progress of several tables and directories at once."""
    seconds = 0.0
    screen = recorder(WIDE)
    with Bars(Console(file=io.StringIO(), force_terminal=True, width=WIDE), lambda: seconds) as bars:
        for name, unit, total in (("orders", "rows", 5_000_000), ("events", "rows", None), ("images", "bytes", 3 << 30)):
            bars.take(name, 0, unit, total)
        seconds = 21.0
        for name, unit, amount in (("orders", "rows", 3_150_000), ("events", "rows", 412_000), ("images", "bytes", 1 << 30)):
            bars.take(name, amount, unit)
        screen.print(Text("$ airflow-sync run", "bold"))
        for drawn in bars.get_renderables():
            screen.print(drawn)
    picture = save(screen, "progress")
    assert "3,150,000 of 5,000,000 rows" in text_of(picture)
    assert "150,000 rows/s" in text_of(picture)
    assert "about 42 s left" in text_of(picture)
    assert "0:00:21" in text_of(picture)


def recorder(width: int = COLUMNS) -> Console:
    """Return a console that keeps what it prints."""
    return Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")


def lasting(text: str) -> str:
    """Return what stays on a terminal when the progress has been wiped away."""
    _, _, after = text.rpartition("\x1b[?25h")
    return re.sub(r"\x1b\[\d*[A-HJKST]|\r", "", after).rstrip("\n")


def save(screen: Console, name: str) -> str:
    """Return what was printed as a picture, which loads nothing from elsewhere, and save it if pictures are wanted."""
    picture = screen.export_svg(title="airflow-sync", unique_id=name)
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    picture = re.sub(r"[ \t]+$", "", picture, flags=re.MULTILINE)
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "").replace("https://www.textualize.io", "")
    if folder := os.environ.get("SYNC_SCREENSHOTS"):
        (Path(folder) / f"{name}.svg").write_text(picture, encoding="utf-8")
    return picture


def text_of(picture: str) -> str:
    """Return the text of a picture, each piece on a line with those beside it."""
    lines: dict[str, str] = {}
    for line, piece in re.findall(r'<text[^>]* y="([\d.]+)"[^>]*>(.*?)</text>', picture):
        lines[line] = lines.get(line, "") + piece
    plain = "\n".join(lines.values())
    return plain.replace("&#160;", " ").replace("&#x27;", "'").replace("&lt;", "<").replace("&gt;", ">")


def words(picture: str) -> set[str]:
    """Return the words of a picture."""
    return set(text_of(picture).split())
