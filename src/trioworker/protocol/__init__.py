"""The job contract: messages, limits, text rules and exit codes. Imports nothing else of trioworker."""
