"""The command line: one file a command or a few, `main` names them all."""
