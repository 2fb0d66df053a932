"""All that one account has and may do."""
