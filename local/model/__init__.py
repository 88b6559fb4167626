"""A Messages API on this machine, with a deterministic composer of websites behind it."""
