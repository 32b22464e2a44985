"""What the command line of ``speechbrain_ext.inference`` can do."""
