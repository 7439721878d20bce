"""Commands of `agora`, one file per subject; `agora.cli` puts them together.

Each command reads its arguments, calls one function and prints what came of it.
"""
