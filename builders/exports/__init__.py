"""Built datasets in the form that other tools read: one module a target, called by `builders.export`."""
