"""What stands between a tool's output and the model, the events and the log."""
