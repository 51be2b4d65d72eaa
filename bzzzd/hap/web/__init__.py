"""The portal in a browser: the same model, served by aiohttp. Imported in ``interface.mode: web`` only."""
