"""Pictures of several calibrated cameras of one moment: from a user's folder to files for trainings."""
