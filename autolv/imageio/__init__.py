"""Files to volumes and back, and the store of preprocessed cases."""
