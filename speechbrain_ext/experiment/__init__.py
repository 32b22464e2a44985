"""One recipe, many runs, one table beside the paper's.

``python -m speechbrain_ext.experiment TRAIN.py HPARAMS.yaml --folds all
--seeds 5 --grid key=a,b`` runs every combination in a process and a folder of
its own and ends with a table. The modules, in the order of the work:

- ``options``: grids, named rows and overrides, from the command line;
- ``settings``: a recipe's YAML with its references resolved, nothing built;
- ``plan``: which runs there are, where each goes and how it is called;
- ``runs`` and ``cluster``: the runs as processes here, or as jobs of SLURM;
- ``predictions`` and ``bootstrap``: intervals, and two rows compared;
- ``published``, ``summary`` and ``table``: the figures of the papers, those of
  the runs, and both in one table.
"""
