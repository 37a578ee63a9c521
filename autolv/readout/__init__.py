"""What a segmentation says of the heart, without any reference: volumes and function. Needs no torch."""
