"""Training on a GPU in pieces: a dataset that travels in one file, folds that resume, scores, speed, and their table.

All but ``packing`` get along with torch, numpy, scipy, pydantic and acvl-utils, so that a machine that has no other
packages can train.
"""
