"""Comparison of label maps with a reference: overlap, distances, volumes, agreement, intervals. Needs no torch."""
