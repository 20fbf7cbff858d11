"""A whole job in virtual time under planned faults, process after process, and what must hold afterwards."""
