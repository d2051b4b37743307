"""The calls of stores: what times look like."""

from __future__ import annotations

import datetime

import pytest

from airflow_provider_sync.files.objects.api import describe, modified_ns, mtime_text
from airflow_provider_sync.files.objects.gcs_api import GcsApi
from airflow_provider_sync.files.objects.object_storage import api_of


def test_times_are_written_as_others_read_them() -> None:
    """Metadata has seconds with nine decimals, as with rclone."""
    assert mtime_text(1_000_000_000_123_456_789) == "1000000000.123456789"
    assert mtime_text(5) == "0.000000005"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1000000000.123456789", 1_000_000_000_123_456_789),
        ("7", 7_000_000_000),
        ("7.5", 7_500_000_000),
        ("7.", 7_000_000_000),
        *[(text, 1_795_940_146_269_892_000) for text in ("", "soon", "-5", "1" * 30, "7.x", "²")],
    ],
)
def test_times_in_metadata_are_not_trusted(text: str, expected: int) -> None:
    """An invalid time in an object's metadata is ignored."""
    info = {"generation": "1", "updated": "2026-11-29T08:15:46.269892Z", "metadata": {"mtime": text}}
    api = GcsApi(None, "bucket", "")
    assert api.describe(info) == (expected, b"1")


def test_other_stores_say_what_they_can() -> None:
    """An object of an unknown store has a version only if it has an ETag."""
    assert describe({"etag": "e", "last_modified": 7.5}) == (7_500_000_000, b"e 7500000000")
    assert describe({"size": 1}) == (0, b"")
    assert api_of(None, ("abfs",), "bucket/root") is None


@pytest.mark.parametrize("seconds", [1_700_000_000.123456, 1_795_942_549.686511, 0.0, 7])
def test_a_number_and_a_moment_are_the_same_time(seconds: float) -> None:
    """A number in a listing and a moment in a description are the same version of an object."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    assert modified_ns({"mtime": seconds}) == modified_ns({"LastModified": moment}) == round(seconds * 1_000_000) * 1_000
