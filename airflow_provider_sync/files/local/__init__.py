"""A directory on a local disk: walk it, read it, and write it so that nothing is lost and nothing leads out of it."""
