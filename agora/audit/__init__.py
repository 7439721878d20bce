"""Audit: what was answered, replayed through the offline path and traced back to its files."""
