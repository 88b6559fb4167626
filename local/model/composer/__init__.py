"""From a brief to the files of a site. Deterministic: the same brief, the same bytes."""
