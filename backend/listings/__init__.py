"""Capacity on the market: search, terms, quotes."""
