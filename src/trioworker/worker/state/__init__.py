"""The state of one job: an event-sourced log of records, the conversation, and the journal."""
