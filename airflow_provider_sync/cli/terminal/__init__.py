"""Output of the commands: results as tables or data, progress, errors; styled on a terminal, plain in a pipe."""
