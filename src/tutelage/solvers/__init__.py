"""Solvers: models made of models, each one file; `models.SOLVERS` is their table."""
