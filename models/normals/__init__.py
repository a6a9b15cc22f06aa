"""Normals of the clothed person: the network and its training."""
