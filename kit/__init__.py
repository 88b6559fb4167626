"""How any of our servers starts, fails, logs and authenticates. Knows no service."""
