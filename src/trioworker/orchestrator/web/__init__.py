"""The page on which a person watches jobs, speaks to them and stops them."""
