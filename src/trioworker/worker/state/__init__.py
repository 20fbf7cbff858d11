"""The event-sourced state of one job: its records, the conversation, and the journal."""
