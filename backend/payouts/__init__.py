"""Money that left the contracts, and credits to be drawn."""
