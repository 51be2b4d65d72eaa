"""Model providers: an OpenAI-compatible endpoint, and the embedded model behind the same interface."""
