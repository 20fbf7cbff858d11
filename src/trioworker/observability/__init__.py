"""How a person or a harness sees what the worker does."""
