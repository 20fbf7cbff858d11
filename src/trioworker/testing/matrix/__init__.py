"""The cancel matrix: one run for each checkpoint of a trio program, which cancels it there. It needs only trio."""
