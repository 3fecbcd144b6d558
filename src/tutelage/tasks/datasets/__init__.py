"""Tasks whose questions are read from files and from the hub."""
