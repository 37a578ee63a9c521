"""Tables and figures from stored results. Computes no metric."""
