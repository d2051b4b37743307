"""Keep tables in step: compare, stage, merge."""
