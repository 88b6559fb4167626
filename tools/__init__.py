"""Programs that build and check the repository itself."""
