"""What `benchmarks/training.py` is made of: autolv and nnU-Net as two processes that take timed steps in turn."""
