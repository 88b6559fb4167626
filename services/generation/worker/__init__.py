"""Working on generations: claiming them, keeping the lease, talking to the model, writing files, ending well."""
