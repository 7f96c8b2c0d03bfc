"""The page for people who do not write code: a server around the same core as the command line."""
