"""Bytes to values and back, one package per version of the protocol; no input or output happens here."""
