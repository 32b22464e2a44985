"""Recognition: one emotion for each utterance."""
