"""What a value is, where a user or a file has given it."""

import difflib
import math
import numbers


def is_number(value, kind=numbers.Real):
    """Whether a value is a finite number; true and false are none.

    Arguments
    ---------
    value : object
        Anything.
    kind : type or tuple of type
        Of numbers; ``(int, float)`` for what is to be written as JSON.

    Returns
    -------
    bool

    Example
    -------
    >>> [is_number(value) for value in (2, 0.5, float("nan"), True, "2")]
    [True, True, False, False, False]
    >>> is_number(10**400)
    False
    """
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        # An integer beyond every float.
        return False


def is_whole(value):
    """Whether a value is an integer; true and false are none.

    Example
    -------
    >>> [is_whole(value) for value in (2, 2.0, True)]
    [True, False, False]
    """
    return isinstance(value, int) and not isinstance(value, bool)


def did_you_mean(name, known):
    """End of a sentence about a name that is not known.

    Arguments
    ---------
    name : str
        As it was given.
    known : iterable
        Names that there are.

    Returns
    -------
    str
        With the nearest of them, or no more than a full stop.

    Example
    -------
    >>> did_you_mean("sede", ["lr", "seed"]), did_you_mean("x", ["lr"])
    ("; did you mean 'seed'?", '.')
    """
    near = difflib.get_close_matches(name, [str(one) for one in known], 1)
    return f"; did you mean '{near[0]}'?" if near else "."
