"""Numbers of any kind as NumPy arrays."""

import numpy as np


def to_array(values):
    """A NumPy array of floating point numbers, also from a tensor.

    Arguments
    ---------
    values : array, torch.Tensor or list
        Numbers of any shape.

    Returns
    -------
    numpy.ndarray
        What is floating point keeps its precision.

    Raises
    ------
    ValueError
        When the rows of a list differ in length, or there is something other
        than numbers.

    Example
    -------
    >>> to_array([1, 2])
    array([1., 2.])
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float64)
    return array
