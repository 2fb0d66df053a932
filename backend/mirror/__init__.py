"""Reading the mirror: one snapshot of it at one block, and rows by key now or as of any block."""
