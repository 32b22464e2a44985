"""The former place of ``speechbrain_ext.metrics.average``."""
