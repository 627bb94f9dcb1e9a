"""DSA-110 continuum imaging: the library behind the workflow's scripts."""
