"""The terminal of `trioworker local`: output, a live line, and a line editor for follow-ups."""
