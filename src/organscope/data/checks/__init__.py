"""Checks of a data set: each a function from a survey to findings."""
