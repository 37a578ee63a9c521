"""Fingerprint, plan, cost and splits: pure functions of records, without torch."""
