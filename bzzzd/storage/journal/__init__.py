"""The journal: one SQLite file, and one thread that commits the writes of many callers together."""
