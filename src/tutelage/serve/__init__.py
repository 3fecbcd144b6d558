"""A model behind an OpenAI-compatible endpoint: `wire` reads requests, `desk` gathers them, `server` answers."""
