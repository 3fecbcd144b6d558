"""A model behind an OpenAI-compatible endpoint: `openai_requests` reads requests, `batcher` gathers them, `server` answers."""
