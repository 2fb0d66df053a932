"""Data centres, their bonds and their hand-over."""
