"""Files that hold a skeleton: skinned GLB and VRM."""
