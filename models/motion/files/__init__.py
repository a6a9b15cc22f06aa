"""Other people's motion files: skeletons by name, poses by array, folders of frames."""
