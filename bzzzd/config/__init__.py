"""Configuration words: the schema, the files and the rules across them.

``bzzzd.config.load`` has ``load`` (one process's ``Settings``) and ``check`` (every fault of all files).
"""
