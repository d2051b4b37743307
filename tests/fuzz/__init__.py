"""Any bytes into every parser: a value, or an error of this package."""
