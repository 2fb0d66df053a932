"""Shares in what a site earns: offerings, holders, revenue, claims."""
