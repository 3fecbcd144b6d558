"""Export: a run's student as a folder that plain transformers, TRL, llama.cpp and Ollama take, with its cards."""
