"""What the model is told, which tools it has, and how its calls are read while they arrive."""
