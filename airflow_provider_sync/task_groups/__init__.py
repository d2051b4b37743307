"""Task groups: the steps of a sync, wired."""
