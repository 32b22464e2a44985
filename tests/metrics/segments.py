"""Segments in both layouts."""


def says(*segments):
    """What a system says, of (emotion, start, end)."""
    return [{"start": s, "end": e, "emotion": n} for n, s, e in segments]


def is_so(*segments):
    """What is so, of (emotion, start, end)."""
    return [{"emo": n, "start": s, "end": e} for n, s, e in segments]
