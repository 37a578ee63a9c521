"""What to predict with: candidates, the choice between them and their post-processing. Computes no metric."""
