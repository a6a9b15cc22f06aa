"""The body model (SMPL-X form): shape, pose, skeleton, keypoints."""
