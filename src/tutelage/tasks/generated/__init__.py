"""Tasks whose questions are made on the spot, with worked solutions."""
