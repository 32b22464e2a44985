"""The command line of ``speechbrain_ext.experiment``."""

from speechbrain_ext.experiment.command import main

if __name__ == "__main__":
    main()
