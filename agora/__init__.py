"""Agora's library: everything that decides, without an orchestrator or a web framework in it."""
