"""Benchmarks: `performance` measures speed, `public` compares with published tables."""
