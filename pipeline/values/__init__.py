"""The values that stages exchange: records of tensors, cameras, rotations."""
