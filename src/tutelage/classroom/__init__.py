"""The classroom: where a task, models, verbs and a run directory meet; `room` is what recipes see."""
