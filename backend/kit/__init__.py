"""What every domain uses and none owns: types, problems, pages, sessions, limits, logs, metrics."""
