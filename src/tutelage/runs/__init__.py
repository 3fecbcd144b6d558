"""A run is a directory: how its steps are made, kept, labelled and read again."""
