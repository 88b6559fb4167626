"""Accounts, projects, their files and their versions. What this service stores is the truth about a project's files."""
