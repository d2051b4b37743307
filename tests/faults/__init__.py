"""The fault suite: a sync that is disturbed leaves its target in the old or the new state, and the next run succeeds.

``make faults`` runs it; ``docs/explanation/reliability.md`` publishes its counts.
"""
