"""Generations: a prompt becomes files. Durable jobs, an event log, and the agent loop that works on them."""
