"""Chain -> PostgreSQL: follows one chain, folds its logs into schema ``mirror``, and checks the books against the chain."""
