"""What a sync of few changed rows costs as its table grows, by arithmetic alone: the program's own plan, with expected answers.

How many bytes a digest takes was measured once, and is checked against a real sync.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from airflow_provider_sync.databases.partitioning import SEGMENT_ROWS, USUAL_SEGMENTS, segments_for
from airflow_provider_sync.protocol.v2.messages import DIGEST_BYTES, MAX_KEYS, Partitioning, Scheme
from airflow_provider_sync.sync.tables.version2 import batch_sizes, plan
from airflow_provider_sync.sync.tables.version2.facts import Facts, RowFacts, SampleFacts, SegmentFacts
from airflow_provider_sync.sync.tables.version2.plan import Action

ROW_BYTES = 60
"""Of a changed row on the wire."""

SEGMENT_BYTES = 9
"""Of a segment on the wire: its sum, which does not compress; number and count hardly count."""

KEY_BYTES = {"key_range": 3, "key_hash": 4, "row_hash": 4}
"""Of a key on the wire, compressed: neighbours differ in little, and texts of one pattern in their numbers."""

FINDING = {"key_range": 0, "key_hash": plan.KEY_HASH_SCAN, "row_hash": 1}
"""Scans that it takes to find the rows of some segments."""


@dataclass
class Cost:
    """What one sync costs.

    :ivar scans: of the source, each of all rows with their digests; the target has as many
    """

    requests: int = 0
    bytes: int = 0
    scans: float = 0

    def add(self, requests: int, size: float, scans: float = 0) -> None:
        """Add what a step costs."""
        self.requests += requests
        self.bytes += int(size)
        self.scans += scans


def cost(rows: int, changes: int, scheme: Scheme, *, row_bytes: int = ROW_BYTES) -> Cost:
    """Predict the cost of a sync whose changes are scattered updates, step by step as the plan says.

    :param scheme: ``key_range`` for a single integer key; for any other ``key_hash``, or ``row_hash`` where a side cannot hash
        keys
    :param row_bytes: of a changed row on the wire
    """
    table = _Table(rows, changes, scheme)
    total = Cost()
    total.add(1, 0)  # the capabilities
    facts = Facts(has_indexed_ranges=scheme == "key_range", target_rows=rows)
    while (step := plan.plan_sync(facts)).asks:
        match step.action:
            case Action.PROBE:
                facts = facts.with_segments(table.probe())
                total.add(1, plan.PROBE_SEGMENTS * SEGMENT_BYTES, plan.PROBE_SEGMENTS / table.usual)
            case Action.COMPARE_SEGMENTS:
                count = step.partitioning.segment_count if step.partitioning else table.usual
                facts = facts.with_segments(msgspec.structs.replace(table.compare(count), cut=step.cut))
                total.add(1, count * SEGMENT_BYTES, 1)
            case Action.SAMPLE_ROWS:
                assert facts.segments is not None
                facts = msgspec.structs.replace(facts, sample=table.sample(facts.segments))
                sampled = -(-facts.segments.differing // step.stride)
                found = sampled * rows / facts.segments.partitioning.segment_count
                total.add(1, found * (DIGEST_BYTES + KEY_BYTES[scheme]), FINDING[scheme])
            case _:
                assert facts.segments is not None
                slices = max(1, -(-facts.segments.differing_rows // batch_sizes.rows_at_once(scheme)))
                digests = facts.segments.differing_rows / 2
                # Row hashes are found by digesting all rows; otherwise only the rows found are digested.
                digested = 0 if scheme == "row_hash" else digests / rows
                total.add(slices, digests * (DIGEST_BYTES + KEY_BYTES[scheme]), slices * FINDING[scheme] + digested)
                facts = msgspec.structs.replace(facts, rows=RowFacts(wanted=changes, is_complete=True))
    if step.action is Action.FETCH_ROWS:
        total.add(-(-changes // MAX_KEYS), changes * row_bytes)
    else:
        total.add(1, rows * row_bytes, 1)
    return total


class _Table:
    """A table whose changes are spread evenly, with the expected answer to each question of the plan."""

    def __init__(self, rows: int, changes: int, scheme: Scheme) -> None:
        self.rows = rows
        self.changes = changes
        self.scheme = scheme
        self.usual = min(USUAL_SEGMENTS, segments_for(rows, each=SEGMENT_ROWS))

    def compare(self, count: int) -> SegmentFacts:
        """Compare all segments."""
        # An updated row leaves one segment of a row hash and enters another.
        picked = (2 if self.scheme == "row_hash" else 1) * self.changes
        differing = count * (1 - (1 - 1 / count) ** picked)
        return SegmentFacts(
            partitioning=Partitioning(scheme=self.scheme, segment_count=count),
            estimated_rows=self.rows,
            source_rows=self.rows,
            target_rows=self.rows,
            segments=count,
            differing=round(differing),
            differing_rows=round(2 * differing * self.rows / count),
        )

    def probe(self) -> SegmentFacts:
        """Compare a few segments."""
        share = plan.PROBE_SEGMENTS / self.usual
        every = self.compare(self.usual)
        rows = round(self.rows * share)
        return msgspec.structs.replace(
            every,
            is_probe=True,
            source_rows=rows,
            target_rows=rows,
            segments=plan.PROBE_SEGMENTS,
            differing=round(every.differing * share),
            differing_rows=round(every.differing_rows * share),
        )

    def sample(self, segments: SegmentFacts) -> SampleFacts:
        """Compare the rows of some segments; the counts are those of all, which have the same shares."""
        rows = segments.differing_rows / 2
        if segments.is_probe:
            return SampleFacts(wanted=self.changes, changed=self.changes, source_rows=self.rows, rows=2 * self.rows)
        return SampleFacts(wanted=self.changes, changed=self.changes, source_rows=round(rows), rows=segments.differing_rows)
