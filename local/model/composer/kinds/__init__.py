"""One file per kind of site: from a brief to its files."""
