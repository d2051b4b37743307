"""The licences of what the package needs, and the page that lists them."""

from __future__ import annotations

from email.message import Message

import pytest

from publish.licences import OPTIONAL, PAGE, UnknownLicence, collect, is_allowed, licence_of, refused_among


def metadata(**fields: str) -> Message:
    """Return metadata of a distribution; underscores in names stand for hyphens."""
    found = Message()
    for name, value in {"Name": "some", **fields}.items():
        found[name.replace("_", "-")] = value
    return found


@pytest.fixture(scope="module")
def licences() -> tuple[dict[str, str], dict[str, str]]:
    """Give the licences of what is inside of the file, and beside it."""
    return collect()


def test_the_page_lists_the_licences_of_all_that_is_installed(licences: tuple[dict[str, str], dict[str, str]]) -> None:
    """The page has each required library with its licence; `make licences` writes it."""
    rows = {
        tuple(cell.strip() for cell in line.strip("|").split("|")) for line in PAGE.read_text().splitlines() if line[:1] == "|"
    }
    inside, beside = licences
    assert (inside.items() | beside.items()) - rows == set()


def test_all_licences_fit(licences: tuple[dict[str, str], dict[str, str]]) -> None:
    """All published files have fitting licences; of the other libraries, only two drivers do not."""
    inside, beside = licences
    assert refused_among(inside) == {}
    assert refused_among(beside, by_choice=OPTIONAL) == {}


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License_Expression": "MIT OR Apache-2.0"}, "MIT OR Apache-2.0"),
        ({"License": "CC0-1.0 OR Apache-2.0"}, "CC0-1.0 OR Apache-2.0"),
        ({"License": "BSD 3-Clause"}, "BSD-3-Clause"),
        ({"Classifier": "License :: OSI Approved :: Apache Software License", "License": "a long text"}, "Apache-2.0"),
    ],
)
def test_a_licence_is_read_from_metadata(fields: dict[str, str], licence: str) -> None:
    """An expression, a name and a classifier all lead to one SPDX expression."""
    assert licence_of(metadata(**fields)) == licence


@pytest.mark.parametrize("fields", [{}, {"License": "All use is limited and permitted to nobody"}])
def test_a_licence_that_is_not_known_is_an_error(fields: dict[str, str]) -> None:
    """A licence is never guessed, neither from an empty text nor from a part of a word."""
    with pytest.raises(UnknownLicence, match="some names no licence that is known"):
        licence_of(metadata(**fields))


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ("MIT", True),
        ("GPL-2.0-only OR MIT", True),
        ("GPL-2.0-only AND MIT", False),
        ("Apache-2.0 AND (MIT OR GPL-3.0-only)", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("AGPL-3.0-only", False),
    ],
)
def test_what_fits(expression: str, fits: bool) -> None:
    """All licences joined by AND have to fit, and one of those joined by OR."""
    assert is_allowed(expression) is fits
