"""What an exam is worth: scores with intervals, comparisons, and grading again."""
