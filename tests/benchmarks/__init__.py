"""Benchmarks: not tests, since they judge nothing; ``make bench`` prints them."""
