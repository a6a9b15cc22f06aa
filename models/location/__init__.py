"""Who of a photo is meant, where they are, and what is to be said of it; for `prepare` and `people`."""
