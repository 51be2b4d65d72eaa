"""UCXL words: addresses in time, versions and their history."""
