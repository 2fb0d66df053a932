"""Leases: state, runway, settlement, history."""
