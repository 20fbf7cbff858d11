"""The processes of a job: started, owned, and terminated with all that they started."""
