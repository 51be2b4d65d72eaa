"""What the portal holds and shows, as values: the model, its things, and the pure rules over them."""
