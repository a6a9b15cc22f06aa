"""Files that hold a skeleton: skinned GLB, VRM, and the store's own npz."""
