"""What is said to the model and how its replies are read: no I/O in here."""
