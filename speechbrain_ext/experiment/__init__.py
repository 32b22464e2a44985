"""One recipe, many runs, one table beside the paper's."""
