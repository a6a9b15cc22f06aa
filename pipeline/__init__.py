"""The machinery: types, cameras, stages, the store and the file formats. Knows no network."""
