"""One recipe, many runs, one table beside the paper's.

``python -m speechbrain_ext.experiment TRAIN.py HPARAMS.yaml --folds all
--seeds 5 --grid key=a,b``: ``command`` reads the words, ``plan`` makes runs of
them, ``runs`` and ``cluster`` start the runs, ``summary``, ``published`` and
``table`` put what came out beside the paper's figures.
"""
