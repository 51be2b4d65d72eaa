"""Mesh messages kept: their numbering, their order, a ring for each topic, and what nodes ask each other for."""
