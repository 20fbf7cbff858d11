"""The web page for watching jobs, sending them follow-ups, and stopping them."""
