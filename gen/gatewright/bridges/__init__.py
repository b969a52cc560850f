"""Other libraries: layers, exports and weights."""
