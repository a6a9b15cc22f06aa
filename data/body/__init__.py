"""The build of the free body from MakeHuman's CC0 data."""
