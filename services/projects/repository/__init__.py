"""All SQL of the projects service, one file a subject. Each class works inside the transaction that it is given."""
