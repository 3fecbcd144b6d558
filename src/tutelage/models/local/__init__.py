"""Models on this machine: weights, how they are read and written with, and what rounding depends on."""
