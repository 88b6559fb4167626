"""Use cases: what happens when somebody asks for something, or when time passes."""
