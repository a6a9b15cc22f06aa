"""How results are measured: pictures, bodies, meshes."""
