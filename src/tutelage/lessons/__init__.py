"""Lessons: what a teacher writes, what of it is kept, and which mistakes it is asked about."""
