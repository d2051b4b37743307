"""Encode and decode the protocol's messages, one package per version; no I/O happens here."""
