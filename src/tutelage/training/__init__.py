"""Training: lessons and a student in, a better student out. Importing this loads no torch."""

from tutelage.training.config import LoraConfig, TrainingConfig

__all__ = ["LoraConfig", "TrainingConfig"]
