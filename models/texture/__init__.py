"""The textured mesh: an atlas for its surface, and a base colour baked from pictures all around."""
