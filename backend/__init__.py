"""PostgreSQL, and the node to plan and submit, served over HTTP: one package a domain, ``kit`` for what knows none."""

__version__ = "0.1.0"
