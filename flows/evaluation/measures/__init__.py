"""What is measured of a reconstruction."""
