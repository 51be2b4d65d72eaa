"""Configuration words: the schema, the files and the rules across them."""
