"""The contract of a database engine, one abstract class per file; an engine's package has files of the same names."""
