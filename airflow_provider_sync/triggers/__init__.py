"""Triggers, which wait in the triggerer for a change of the source."""
