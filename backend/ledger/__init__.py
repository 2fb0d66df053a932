"""The books: journal, trial balance, reconciliation."""
