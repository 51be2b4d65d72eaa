"""Versions at UCXL addresses: encrypted content, who may write and read it, and how it travels between nodes."""
