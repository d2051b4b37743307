"""Progress: bars on a terminal, plain lines otherwise, and always on standard error."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from rich.console import Console

from airflow_provider_sync.cli.terminal import progress_bars, progress_display
from tests.cli.site import Site, reports
from tests.cli.terminal.pseudo_terminal import read_all


def test_bars_on_a_terminal(site: Site) -> None:
    """On a terminal the progress is drawn on standard error, and standard output stays clean."""
    terminal, other_end = pty.openpty()
    command = [sys.executable, "-m", "airflow_provider_sync.cli.main", "run", "--config", str(site.config), "--json"]
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "CI")}
    environment |= {"TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=other_end, env=environment, text=True) as process:
        os.close(other_end)
        output, _ = process.communicate(timeout=60)
        drawn = read_all(terminal)
    assert process.returncode == 0
    assert set(reports(output)) == {"orders", "customers", "images"}
    assert "orders" in drawn
    assert "3 rows" in drawn
    assert "\x1b[" in drawn


def test_lines_otherwise(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal, a line reports the progress from time to time."""
    monkeypatch.setattr(progress_display, "SECONDS_BETWEEN_LINES", 0.0)
    with progress_display.show_progress() as show:
        show("orders", 1000, "rows")
        show("orders", 500, "rows")
        show("images", 1, "files", 12)
        show("images", 2048, "bytes")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "orders: 1,000 rows so far",
        "orders: 1,500 rows so far",
        "images: 1 of 12 files",
        "images: 1 of 12 files, 2.0 KiB",
    ]


def test_a_pipe_imports_nothing_that_draws() -> None:
    """Commands without a terminal do not spend time on importing rich."""
    program = "import sys, airflow_provider_sync.cli.diff; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def drawing(width: int = 140) -> tuple[io.StringIO, Console]:
    """Return a console that draws into a text, and the text."""
    drawn = io.StringIO()
    return drawn, Console(file=drawn, force_terminal=True, width=width)


def test_bars_fill_as_far_as_is_known() -> None:
    """A bar shows the unit with the least progress, and pulses without a total, for updates from any number of threads."""
    drawn, console = drawing()
    with ThreadPoolExecutor(4) as threads, progress_bars.Bars(console) as bars:
        for done in [threads.submit(bars.take, "images", 1, "files", 40) for _ in range(10)]:
            done.result()
        bars.take("images", 500, "bytes", 1000)
        bars.take("orders", 7, "rows")
        bars.refresh()
        assert [(bar.description, bar.completed, bar.total) for bar in bars.tasks] == [("images", 0.25, 1), ("orders", 0, None)]
    assert "10 of 40 files, 500 B of 1000 B" in drawn.getvalue()


def test_how_fast_and_how_long() -> None:
    """A bar shows total, speed and remaining time, for tables and directories at the same time."""
    seconds = 0.0
    drawn, console = drawing()
    with progress_bars.Bars(console, lambda: seconds) as bars:
        for name, unit, total in (("orders", "rows", 30_000), ("images", "bytes", 3 << 30)):
            bars.take(name, 0, unit, total)
        seconds = 10.0
        bars.take("orders", 10_000, "rows")
        bars.take("images", 1 << 30, "bytes")
        drawn.truncate(0)
        bars.refresh()
    shown = drawn.getvalue()
    assert re.search(r"orders .* 10,000 of 30,000 rows +1,000 rows/s +about 20 s left", shown)
    assert re.search(r"images .* 1.0 GiB of 3.0 GiB +102.4 MiB/s +about 20 s left", shown)


def test_narrow_bars() -> None:
    """On a terminal of 80 columns, no bar is cut: shares replace amounts if they are known."""
    seconds = 0.0
    drawn, console = drawing(80)
    with progress_bars.Bars(console, lambda: seconds) as bars:
        for name, total in (("orders", 30_000_000), ("customers_of_the_whole_north", 12), ("events", None)):
            bars.take(name, 0, "rows", total)
        seconds = 10.0
        for name in ("orders", "customers_of_the_whole_north", "events"):
            bars.take(name, 6, "rows")
        bars.take("orders", 9_999_994, "rows")
        drawn.truncate(0)
        bars.refresh()
    shown = [re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", line) for line in drawn.getvalue().splitlines() if "/s" in line]
    assert re.search(r"orders +━.* 33% 1,000,000 rows/s about 20 s left", shown[0])
    assert re.search(r"customers_of_the_who… ━.* 50% +1 rows/s about 10 s left", shown[1])
    assert re.search(r"events +━.* 6 rows +1 rows/s", shown[2])


def test_many_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many tables, those with the latest progress are shown; names can neither style nor fill the terminal."""
    monkeypatch.setattr(progress_bars, "MAX_BARS", 2)
    drawn, console = drawing()
    with progress_bars.Bars(console) as bars:
        for name in ("first", "second", "[red]x\x1b[2J" + "y" * 100, "first"):
            bars.take(name, 1, "rows")
        drawn.truncate(0)
        bars.refresh()
        assert [bar.visible for bar in bars.tasks] == [True, False, True]
    assert r"[red]x\x1b[2Jyyy" in drawn.getvalue()
    assert "y" * 50 not in drawn.getvalue()


def test_standard_output_is_for_results(capsys: pytest.CaptureFixture[str]) -> None:
    """Output during the work, such as Airflow's log, does not go to standard output."""
    with progress_display.show_progress():
        print("noise")  # noqa: T201  # as libraries do
    print("result")  # noqa: T201  # as commands do
    assert capsys.readouterr() == ("result\n", "noise\n")
