"""List the licences of all that the package needs in `docs/reference/licences.md`, and refuse those that do not fit Apache-2.0.

What counts is the metadata of the installed distributions. Tools that only develop or measure the package are not listed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from email.message import Message
from importlib.metadata import PackageNotFoundError, distribution
from types import MappingProxyType

from boolean import AND, OR
from license_expression import LicenseSymbol, LicenseWithExceptionSymbol, Licensing
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from publish.core_requirements import CORE_REQUIREMENTS
from publish.project import PROJECT, ROOT, read_requirements

PAGE = ROOT / "docs" / "reference" / "licences.md"
ALLOWED = frozenset(
    {
        *(
            "Apache-2.0",
            "Artistic-1.0-Perl",
            "BSD-2-Clause",
            "BSD-3-Clause",
            "CC0-1.0",
            "ISC",
            "MIT",
            "MIT-0",
            "PSF-2.0",
            "Unlicense",
        ),
        # What is under these stays under them: they ask for it as a whole, or file by file.
        *("LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later", "MPL-2.0"),
    }
)
"""Licences of libraries that a program under Apache-2.0 may use and be distributed with."""

OPTIONAL = {
    "mysqlclient": "GPL-2.0-or-later",
    "mysql-connector-python": "GPL-2.0-only WITH Universal-FOSS-exception-1.0",
}
"""Drivers that whoever installs the extra `mysql` adds by choice. They are published with nothing, and PyMySQL does the same."""

_NAMED = {"openlineage-sql": "Apache-2.0", "text-unidecode": "Artistic-1.0-Perl OR GPL-2.0-or-later"}
"""Licences of which metadata says nothing, or not how two of them are joined, as the repositories have it."""

_BY_WORDS = {
    "apache": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "gnu lesser general public license v2 or later": "LGPL-2.1-or-later",
    "gnu gplv2 (with foss license exception)": OPTIONAL["mysql-connector-python"],
    "gnu general public license v2 or later": OPTIONAL["mysqlclient"],
    "isc": "ISC",
    "lgpl": "LGPL-3.0-or-later",
    "mit": "MIT",
    "mozilla public license 2.0": "MPL-2.0",
    "python software foundation": "PSF-2.0",
    "unlicense": "Unlicense",
}
"""What licences are called where metadata has no SPDX expression, by words that occur in them."""

_TOOLS = {"dev", "bench", "docs", "fuzz"}
"""Extras for which nothing is published."""


class UnknownLicence(Exception):
    """A distribution does not say what its licence is, or in words that nobody knows."""


def licence_of(metadata: Message) -> str:
    """Return the SPDX expression of a licence, from the metadata of a distribution.

    :raises UnknownLicence: when it names none that is known
    """
    if expression := metadata.get("License-Expression") or _NAMED.get(canonicalize_name(metadata["Name"])):
        return str(expression)
    classifiers = [line for line in metadata.get_all("Classifier", []) if line.startswith("License ::")]
    named = str(metadata.get("License") or "").strip()
    if named and len(named) < 60 and _is_spdx(named):
        return named
    for text in [*(line.rpartition(" :: ")[2] for line in classifiers), *named.splitlines()[:1]]:
        for words, expression in _BY_WORDS.items():
            if re.search(rf"\b{re.escape(words)}(?!\w)", text.lower()):
                return expression
    raise UnknownLicence(f"{metadata['Name']} names no licence that is known: {named[:60] or classifiers}")


def _is_spdx(text: str) -> bool:
    operators = {"AND", "OR", "WITH"}
    return all(word in operators or word in ALLOWED or "-" in word for word in text.replace("(", " ").replace(")", " ").split())


def is_allowed(expression: str) -> bool:
    """Whether a licence fits: all of those joined by AND, and one of those joined by OR."""
    return _fits(Licensing().parse(expression))


def _fits(node: object) -> bool:
    if isinstance(node, LicenseWithExceptionSymbol):
        return False
    if isinstance(node, LicenseSymbol):
        return node.key in ALLOWED
    if isinstance(node, OR):
        return any(map(_fits, node.args))
    return isinstance(node, AND) and all(map(_fits, node.args))


def needed_by(requirements: Iterable[Requirement]) -> set[str]:
    """Return the names of the installed distributions that requirements need, and that those need."""
    todo = [requirement for requirement in requirements if _applies(requirement)]
    seen, found = set(), set()
    while todo:
        requirement = todo.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            lines = distribution(name).requires or []
        except PackageNotFoundError:
            # Of another platform or Python, or of an extra that is not installed.
            continue
        found.add(name)
        todo += [needed for needed in map(Requirement, lines) if _applies(needed, extras)]
    return found


def _applies(requirement: Requirement, extras: Iterable[str] = ()) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def collect() -> tuple[dict[str, str], dict[str, str]]:
    """Return the licences of what is in `airflow-sync.pyz`, and of what is needed beside it with Airflow, by name."""
    extras = [line for name, lines in PROJECT["optional-dependencies"].items() if name not in _TOOLS for line in lines]
    inside = _licences(needed_by(read_requirements(CORE_REQUIREMENTS)))
    beside = _licences(needed_by(map(Requirement, [*PROJECT["dependencies"], *extras])))
    return inside, {name: licence for name, licence in beside.items() if name not in inside}


def _licences(names: Iterable[str]) -> dict[str, str]:
    return {name: licence_of(distribution(name).metadata) for name in sorted(names)}


_TEXT = """\
# Licences

The package is under the [Apache License 2.0](../../LICENSE). This page lists the libraries that it needs, with the licences that
their metadata names. `make licences` writes it, and fails if a licence does not fit Apache-2.0.

Libraries under the LGPL and the MPL are used as they are. In `airflow-sync.pyz` they are wheels of the package index. The first
start unpacks them beside the others, where other versions can take their place.

## In `airflow-sync.pyz`

{inside}

## With Airflow and the extras

The extra `mysql` installs `mysqlclient` and `mysql-connector-python`, which are under the GPL. Nothing that is published has them
inside. If you do not want them, leave the extra out and install `pymysql`.

{beside}
"""


def refused_among(licences: Mapping[str, str], *, by_choice: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """Return the licences that do not fit, by name.

    :param by_choice: licences of named distributions that are allowed all the same
    """
    return {name: text for name, text in licences.items() if not is_allowed(text) and by_choice.get(name) != text}


def _table(licences: Mapping[str, str]) -> str:
    rows = [f"| {name} | {licence} |" for name, licence in licences.items()]
    return "\n".join(["| library | licence |", "|---|---|", *rows])


def main() -> int:
    """Write the page; return 1 if a licence does not fit, after naming it."""
    inside, beside = collect()
    PAGE.write_text(_TEXT.format(inside=_table(inside), beside=_table(beside)), encoding="utf-8")
    refused = refused_among(inside) | refused_among(beside, by_choice=OPTIONAL)
    for name, licence in refused.items():
        print(f"{name} is under {licence}, which is not in the list of {__file__}.", file=sys.stderr)
    return int(bool(refused))


if __name__ == "__main__":
    sys.exit(main())
