"""The portal without a screen: plain words and JSON lines, a line in and its answers out."""
