"""Training of GST: several calibrated cameras of a moment, losses of pictures, fine-tuning on one's own."""
