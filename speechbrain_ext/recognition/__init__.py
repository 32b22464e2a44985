"""The face of ``speechbrain_ext.training.average``."""
