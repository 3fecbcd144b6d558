"""Training: lessons and a student in, a better student out."""
