"""Pure array maths: crop, resample, normalise, tile."""
