"""From a text to an answer to a verdict: pure functions, and one process that proves equations."""
