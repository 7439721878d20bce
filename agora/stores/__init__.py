"""Stores: for each port a protocol, an in-memory adapter and the real ones."""
