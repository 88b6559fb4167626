"""What a sandbox's own daemon answers at the vendor's: files over HTTP, the rest over Connect."""
