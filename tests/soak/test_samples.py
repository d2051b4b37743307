"""What the soak counts."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_sync.server.access.shared_places import SharedPlaces
from tests.soak.samples import left_in


def test_what_is_left(tmp_path: Path) -> None:
    """A server's locks and counts are not counted, because their number is limited; its folder and other files are."""
    folder = tmp_path / "airflow-sync-x"
    (folder / "metrics").mkdir(parents=True)
    (folder / "metrics" / "counter_7.db").touch()
    places = SharedPlaces(folder)
    held = [places.take("requests", 3) for _ in range(3)]
    assert all(held)
    (tmp_path / "rows.csv").touch()
    assert {path.name for path in left_in(tmp_path)} == {"airflow-sync-x", "metrics", "rows.csv"}
    for place in held:
        assert place is not None
        place.close()
