"""Stand-ins for vendors, behind the same protocols and through the same contract tests as the real ones."""
