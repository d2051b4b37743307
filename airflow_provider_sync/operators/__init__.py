"""Operators: one call into ``sync`` each."""
