"""Tokens: who signs them, who verifies them, and the keys for both."""
