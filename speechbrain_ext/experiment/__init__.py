"""One recipe, many runs, one table beside the paper's.

``command`` reads the words, ``plan`` makes runs of them, ``runs`` and
``cluster`` start them, ``summary``, ``published`` and ``table`` say what came
out.
"""
