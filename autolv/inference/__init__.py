"""From a trained model and an image to labels: windows, mirrors, members, and the self-contained model folder."""
