"""The report: what a person sees of a run, read from its directory and from nothing else; `writing` writes it."""
