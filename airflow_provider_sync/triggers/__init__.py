"""Triggers: what waits in the triggerer for a change of the source."""
