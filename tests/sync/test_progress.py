"""Progress: what is said of how much is done, and of the time that is left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_sync.sync.progress import Amounts, ProgressLines


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    """Give a clock that starts at 0."""
    return Clock()


def test_units_and_totals(clock: Clock) -> None:
    """Each unit has its total if known, and bytes have a suitable unit."""
    amounts = Amounts(clock)
    amounts.add("orders", 1500, "rows")
    assert amounts.text("orders") == "1,500 rows so far"
    amounts.add("orders", 1, "rows", 2000)
    assert amounts.text("orders") == "1,501 of 2,000 rows"
    amounts.add("images", 1, "files", 12)
    amounts.add("images", 3 << 20, "bytes", 5 << 30)
    assert amounts.text("images") == "1 of 12 files, 3.0 MiB of 5.0 GiB"


@pytest.mark.parametrize(
    ("elapsed", "done", "total", "expected"),
    [
        (4.0, 50, 100, "50 of 100 files"),
        (10.0, 51, 101, "51 of 101 files, about 10 s left"),
        (60.0, 11, 201, "11 of 201 files, about 19 min left"),
        (600.0, 11, 301, "11 of 301 files, about 5 h left"),
        (60.0, 100, 100, "100 of 100 files"),
        (60.0, 1, 100, "1 of 100 files"),
    ],
)
def test_the_time_that_is_left(clock: Clock, elapsed: float, done: int, total: int, expected: str) -> None:
    """The remaining time follows from the speed, after some seconds."""
    amounts = Amounts(clock)
    amounts.add("images", 1, "files", total)
    clock.seconds = elapsed
    amounts.add("images", done - 1, "files", total)
    assert amounts.text("images") == expected


def test_bytes_decide(clock: Clock) -> None:
    """The remaining time follows from bytes if they are known, because files may differ in size."""
    amounts = Amounts(clock)
    for amount in (0, 90):
        amounts.add("images", amount, "bytes", 180)
        amounts.add("images", amount // 9, "files", 4000)
        clock.seconds += 10
    assert amounts.text("images") == "90 B of 180 B, 10 of 4,000 files, about 20 s left"
    assert amounts.share("images") == pytest.approx(10 / 4000)
    amounts.add("images", 90, "bytes")
    amounts.add("images", 1990, "files")
    assert amounts.text("images") == "180 B of 180 B, 2,000 of 4,000 files, about 20 s left"


def test_the_beginning_says_nothing(clock: Clock) -> None:
    """At the beginning there is no remaining time; after long work, the latest speed counts."""
    amounts = Amounts(clock)
    amounts.add("images", 0, "bytes", 1000)
    clock.seconds = 30
    amounts.add("images", 19, "bytes")
    assert amounts.text("images") == "19 B of 1000 B"
    clock.seconds = 60
    amounts.add("images", 1, "bytes")
    assert amounts.text("images") == "20 B of 1000 B, about 8 h left"
    for _ in range(60):
        clock.seconds += 1
        amounts.add("images", 10, "bytes")
    assert amounts.text("images") == "620 B of 1000 B, about 38 s left"
    clock.seconds += 60
    assert amounts.text("images") == "620 B of 1000 B"


def test_what_was_there_before_is_no_speed(clock: Clock) -> None:
    """A resumed download does not count earlier bytes for its speed."""
    amounts = Amounts(clock)
    amounts.add("images", 900, "bytes", 1000)
    clock.seconds = 10
    amounts.add("images", 10, "bytes", 1000)
    assert amounts.text("images") == "910 B of 1000 B, about 90 s left"


def test_unknown_shares(clock: Clock) -> None:
    """Without a total, or with a total of 0, there is no share."""
    amounts = Amounts(clock)
    amounts.add("orders", 5, "rows")
    assert amounts.share("orders") is None
    amounts.add("images", 0, "files", 0)
    assert (amounts.share("images"), amounts.text("images")) == (None, "0 of 0 files")


def test_columns(clock: Clock) -> None:
    """A row has the speed in bytes if they are counted, and neither speed nor time if both are unknown."""
    amounts = Amounts(clock)
    amounts.add("images", 0, "files", 100)
    amounts.add("images", 0, "bytes", 4096)
    assert amounts.columns("images") == ("0 of 100 files, 0 B of 4.0 KiB", "", "")
    clock.seconds = 8.0
    amounts.add("images", 50, "files")
    amounts.add("images", 1024, "bytes")
    assert amounts.columns("images") == ("50 of 100 files, 1.0 KiB of 4.0 KiB", "128 B/s", "about 24 s left")


def test_an_estimate_that_is_too_low(clock: Clock) -> None:
    """A total that was exceeded is not shown until a better one is known."""
    amounts = Amounts(clock)
    amounts.add("orders", 0, "rows", 10)
    amounts.add("orders", 11, "rows")
    assert (amounts.text("orders"), amounts.share("orders")) == ("11 rows so far", None)
    amounts.add("orders", 1, "rows", 24)
    assert (amounts.text("orders"), amounts.share("orders")) == ("12 of 24 rows", 0.5)


def test_lines_are_rare(clock: Clock) -> None:
    """A line comes after each pause, with the progress of all threads."""
    lines: list[str] = []
    progress = ProgressLines(lines.append, every=30.0, clock=clock)
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(progress, "images", 1, "files", 1000) for _ in range(500)]:
            done.result()
    assert lines == []
    clock.seconds = 31.0
    progress("images", 1, "files", 1000)
    progress("images", 1, "files", 1000)
    assert lines == ["images: 501 of 1,000 files, about 31 s left"]
