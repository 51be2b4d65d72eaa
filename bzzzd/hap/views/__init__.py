"""The portal's views: pure functions from the model to rows of styled segments."""
