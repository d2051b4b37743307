"""Keep directories in step: compare manifests, download what differs, delete what the source lacks."""
