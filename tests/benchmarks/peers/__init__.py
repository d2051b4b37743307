"""What users would run instead, each with the options that serve it best."""
