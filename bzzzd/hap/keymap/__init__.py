"""The portal's actions and their keys as data, a table a room; ``actions.py`` puts them together."""
