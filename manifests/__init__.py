"""What exists: sources, recipes, teachers and model files as YAML, and the module that reads and checks them."""
