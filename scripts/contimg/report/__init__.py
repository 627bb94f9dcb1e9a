"""The pages that people look at: one of each date, one of all dates."""
