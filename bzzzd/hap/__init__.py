"""The portal door: bzzz-hap, where a person works with the mesh in a terminal."""
