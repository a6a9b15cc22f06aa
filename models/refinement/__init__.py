"""Refinement of an estimated body by outlines, keypoints and normals (HGM, section 3.2 and appendix)."""
