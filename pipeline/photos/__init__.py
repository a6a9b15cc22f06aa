"""From what a person names to photos, their sidecars and the names of subjects."""
