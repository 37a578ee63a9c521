"""The training engine: sampler, state, schedule, speed trial, and a loop one can read top to bottom. Knows no paths."""
