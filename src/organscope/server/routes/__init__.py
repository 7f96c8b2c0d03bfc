"""The interface: one file a noun."""
