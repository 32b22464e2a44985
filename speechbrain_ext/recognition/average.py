"""``python -m speechbrain_ext.recognition.average RUN RUN ...``."""

from speechbrain_ext.training.average import main

if __name__ == "__main__":
    main()
