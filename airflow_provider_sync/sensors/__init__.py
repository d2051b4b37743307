"""Sensors that ask whether the source differs from the target."""
