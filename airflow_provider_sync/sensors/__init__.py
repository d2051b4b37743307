"""Sensors that wait until the source differs from the target."""
