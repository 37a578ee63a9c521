"""The ground everything stands on: errors, registry, geometry, labels, workspace. Imports nothing of ours."""
