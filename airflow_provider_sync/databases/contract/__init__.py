"""The contract of a database engine: one abstract class per file. Each engine's package has files of the same names."""
