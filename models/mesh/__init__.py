"""Triangle meshes: z-buffers, extraction from depth, repair, colours, pictures."""
