"""Role keys: their epochs, how members get them, and what is sealed anew."""
