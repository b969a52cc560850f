"""Agreement with programs and numbers that other people wrote."""
