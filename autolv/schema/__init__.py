"""Everything written to disk, as frozen typed records with a version. Knows no file's place."""
