"""Task groups that run the steps of a sync as tasks of their own."""
