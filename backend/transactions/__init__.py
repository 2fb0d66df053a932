"""Signed transactions: checked against their plan, broadcast, followed."""
