"""An E2B-compatible sandbox engine for one machine."""
