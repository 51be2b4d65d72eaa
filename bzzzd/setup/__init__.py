"""Setup: what an administrator runs to bring BZZZ onto other machines."""
