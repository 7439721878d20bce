"""Dagster assets, thin: each calls one function of `agora` and says in its metadata what came of it."""
