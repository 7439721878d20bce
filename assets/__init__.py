"""Dagster assets, thin: each calls `agora` and says in its metadata what came of it."""
