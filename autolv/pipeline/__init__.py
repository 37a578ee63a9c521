"""One recipe per command: the only code that composes stages with files."""
