"""The use cases of the projects service, one file a subject. Transactions begin and end here."""
