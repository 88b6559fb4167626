"""A service of its own for testing the transcoder, compiled at the first use."""
