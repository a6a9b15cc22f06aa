"""Person mattes: the embedded network, any segmentation model of the hub, and the training of ours."""
