"""Studies: what a method is worth, as arms x seeds of ordinary runs; `working` runs one, `findings` reads it."""
