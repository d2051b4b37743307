"""The pages of the documentation, and what stands in them."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[2]
ROOT_PAGES = [PROJECT / name for name in ("README.md", "CHANGELOG.md")]
PAGES = [*ROOT_PAGES, *sorted((PROJECT / "docs").rglob("*.md"))]


class Block(NamedTuple):
    """A block of code: its language, what a comment above it says of it, and its text."""

    language: str
    note: str
    text: str


def blocks(page: Path) -> list[Block]:
    """Return the blocks of code of a page."""
    found = re.findall(r"(?:<!-- ([^\n]*?) -->\n)?```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(language, note, text) for note, language, text in found]


def kind_of_configuration(text: str) -> str:
    """Return which file an example is of, by the comments that it begins with: ``server`` or ``client``."""
    comments = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    return "server" if any("server." in line for line in comments) else "client"


def table_below(page: Path, heading: str) -> dict[str, list[str]]:
    """Return the rows of the first table below a heading, by their first cell, without backticks."""
    section = re.split(rf"^#+ `?{re.escape(heading)}`?$", page.read_text(), maxsplit=1, flags=re.MULTILINE)[1]
    lines = re.search(r"^\|.*?(?=\n\n|\Z)", section, re.MULTILINE | re.DOTALL)
    assert lines is not None
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[0].splitlines()[2:]]
    return {row[0].replace("`", ""): row[1:] for row in rows}


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
