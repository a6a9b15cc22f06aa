"""File formats: one reader and one writer each, the same bytes for the same value, limits for files of
strangers."""
