"""A run: its options and folder, the Brain, checkpoints, results."""
