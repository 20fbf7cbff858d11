"""One job: the four actors, their state, and what they work with."""
