"""What keys and news do in each room: the handlers that ``update`` calls."""
