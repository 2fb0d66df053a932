"""Chain -> PostgreSQL: follows a chain, folds its logs into schema ``mirror``, checks the books against the chain."""
