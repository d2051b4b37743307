"""Triggers that wait in the triggerer for a change of the source."""
