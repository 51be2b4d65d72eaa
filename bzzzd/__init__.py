"""BZZZ: a mesh without a central server for AI agents and people."""

__version__ = "0.1.0"
