"""Utterances with several emotions, made by joining recordings of one speaker.

Section 5.1 of Wang et al. (2023). What is made is a plan: manifest records
whose ``pieces`` say which stretch of which file to read, and with which gain.
``compose`` turns pieces into audio when a batch is made.
"""

from collections import defaultdict

from speechbrain_ext.audio import SAMPLE_RATE, read_audio, to_samples
from speechbrain_ext.base.emotions import NEUTRAL
from speechbrain_ext.base.errors import UserError, expected, is_number, is_whole
from speechbrain_ext.base.random import stable_rng
from speechbrain_ext.utterance import Utterance

#: Figure 5: an emotional event alone, and before, after or between neutral.
SEQUENCES = (
    ("emotion",),
    (NEUTRAL, "emotion"),
    ("emotion", NEUTRAL),
    (NEUTRAL, "emotion", NEUTRAL),
)


def _is_count(value):
    return is_whole(value) and is_number(value) and value >= 1


def _is_amount(value, least=1e-300):
    # No infinity: no plan reaches it.
    return is_number(value, (int, float)) and value >= least


#: What ``simulate`` lets a user choose: which values, whether null is one of
#: them, and how to say that.
OPTIONS = {
    "passes": (_is_count, False, "a whole number from 1"),
    "utterances": (_is_count, True, "a whole number from 1, or null"),
    "hours": (_is_amount, True, "a number above 0, or null"),
    "crossfade": (lambda x: _is_amount(x, 0), False, "seconds, 0 or more"),
    "max_duration": (_is_amount, True, "seconds above 0, or null"),
}


def simulate(
    recordings,
    seed,
    epoch=0,
    passes=1,
    utterances=None,
    hours=None,
    crossfade=0.0,
    max_duration=None,
):
    """Plan utterances with one emotional event each.

    In a pass every emotional recording is the event of one utterance. Each
    takes one of the four sequences of Figure 5 with probability 0.25, and the
    neutral recordings of its speaker in turn, in an order of their own. Levels
    are matched to the first recording of the utterance. The plan follows from
    the recordings' ids, the seed and the epoch, not from order or machine.

    Arguments
    ---------
    recordings : list of Utterance
        From ``find_speech``, with the classes of the task as emotions.
    seed, epoch : int
        For a fresh plan every epoch.
    passes : int
        How often every emotional recording is used.
    utterances : int, optional
        Stop at this number of utterances, with as many passes as that takes.
    hours : float, optional
        Stop when this much audio is planned, with as many passes as it takes.
    crossfade : float
        Seconds over which two pieces blend at a joint; 0 as in the paper.
    max_duration : float, optional
        Leave out utterances that are longer (s), for encoders with a limit.

    Returns
    -------
    list of Utterance
        With ``pieces``, and ``emotion`` as segments exact to the sample.
    list of (str, str)
        What is not used, and why: speakers without a neutral recording
        or with nothing else, and utterances over ``max_duration``.

    Example
    -------
    >>> data = [
    ...     Utterance(e, 2.0, "s", e, "demo", wav=f"{e}.wav",
    ...               extra={"speech": [[0, 16000]], "level": -20.0})
    ...     for e in ("neutral", "sad")
    ... ]
    >>> plan, _ = simulate(data, seed=3)
    >>> plan[0].duration, plan[0].emotion
    (3.0, [{'emo': 'sad', 'start': 1.0, 'end': 2.0}])
    """
    options = passes, utterances, hours, crossfade, max_duration
    check_simulation(dict(zip(OPTIONS, options)))
    speakers, skipped = _by_speaker(recordings)
    plan, seconds, number = [], 0.0, 0
    while True:
        one_pass = []
        for speaker, (emotional, neutral) in sorted(speakers.items()):
            rng = stable_rng("simulate", seed, epoch, number, speaker)
            one_pass += _speaker_pass(
                emotional, neutral, rng, f"{epoch}-{number}", crossfade
            )
        rng = stable_rng("order", seed, epoch, number)
        for index in rng.permutation(len(one_pass)):
            utterance = one_pass[index]
            if max_duration is not None and utterance.duration > max_duration:
                reason = f"{utterance.duration:.2f} s, over {max_duration} s"
                skipped.append((utterance.id, reason))
                continue
            plan.append(utterance)
            seconds += utterance.duration
            if utterances is not None and len(plan) >= utterances:
                return plan, skipped
            if hours is not None and seconds >= hours * 3600:
                return plan, skipped
        if not plan:
            longest = f", of at most {max_duration} s" if max_duration else ""
            raise UserError(
                "simulation: the recordings allow no utterance; give a speaker "
                f"with a neutral recording and another one{longest}."
            )
        number += 1
        if utterances is None and hours is None and number == passes:
            return plan, skipped


def check_simulation(options, where="simulation"):
    """Raise a ``UserError`` unless ``simulate`` can follow these options."""
    if not isinstance(options, dict):
        raise expected(where, "options such as {passes: 1}", options)
    for name, value in options.items():
        if name not in OPTIONS:
            raise expected(where, f"options of {', '.join(OPTIONS)}", name)
        is_valid, may_be_null, wanted = OPTIONS[name]
        if not (may_be_null and value is None or is_valid(value)):
            raise expected(f"{where}: {name}", wanted, value)
    given = [options.get(name) for name in ("utterances", "hours")]
    if (
        sum([*(x is not None for x in given), options.get("passes", 1) != 1])
        > 1
    ):
        raise UserError(
            f"{where}: passes, utterances and hours exclude each other; give "
            "one of them."
        )


def _by_speaker(recordings):
    """Speaker -> (emotional, neutral), for those who have both."""
    speakers = defaultdict(lambda: ([], []))
    for recording in sorted(recordings, key=lambda recording: recording.id):
        neutral = recording.emotion == NEUTRAL
        speakers[recording.speaker][neutral].append(recording)
    skipped = []
    for speaker, (emotional, neutral) in sorted(speakers.items()):
        if emotional and neutral:
            continue
        lacking = "neutral" if emotional else "emotional"
        reason = f"speaker '{speaker}' has no {lacking} recording to join"
        skipped += [(r.wav, reason) for r in emotional + neutral]
        del speakers[speaker]
    return speakers, skipped


def _speaker_pass(emotional, neutral, rng, label, crossfade):
    queue = []

    def next_neutral():
        if not queue:
            queue.extend(neutral[i] for i in rng.permutation(len(neutral)))
        return queue.pop()

    plan = []
    for index in rng.permutation(len(emotional)):
        event = emotional[index]
        sequence = SEQUENCES[rng.integers(len(SEQUENCES))]
        parts = [event if x == "emotion" else next_neutral() for x in sequence]
        plan.append(_join(parts, f"{event.id}-{label}", crossfade))
    return plan


def _join(parts, id, crossfade):
    """Record of the utterance that consists of these recordings."""
    pieces, begins, position, previous = [], [], 0, 0
    for part in parts:
        gain = 10 ** ((parts[0].extra["level"] - part.extra["level"]) / 20)
        for number, (start, stop) in enumerate(part.extra["speech"]):
            length = stop - start
            # Never more than half of a piece, or its two fades would meet.
            fade = min(to_samples(crossfade), previous // 2, length // 2)
            position -= fade
            if number == 0:
                # In the middle of a cross-fade both sides are equally loud.
                begins.append(position + fade // 2)
            pieces.append(_piece(part.wav, start, stop, gain, fade))
            position += length
            previous = length
    ends = begins[1:] + [position]
    first = parts[0]
    segments = [
        {"emo": one.emotion, "start": a / SAMPLE_RATE, "end": b / SAMPLE_RATE}
        for one, a, b in zip(parts, begins, ends)
        if one.emotion != NEUTRAL
    ]
    return Utterance(
        id,
        position / SAMPLE_RATE,
        first.speaker,
        segments,
        first.corpus,
        pieces=pieces,
        gender=first.gender,
        language=first.language,
    )


def _piece(wav, start, stop, gain, fade):
    piece = {
        "wav": wav,
        "start": start / SAMPLE_RATE,
        "stop": stop / SAMPLE_RATE,
        "gain": round(gain, 6),
    }
    if fade:
        piece["crossfade"] = fade / SAMPLE_RATE
    return piece


def compose(pieces):
    """Audio [samples] of a simulated utterance, at 16 kHz.

    ``{"wav", "start", "stop", "gain"}`` a piece, times in seconds; one that
    blends with the piece before it has ``"crossfade"`` (s), too.
    """
    import torch

    parts = []
    for piece in pieces:
        audio = piece["gain"] * read_audio(
            piece["wav"], to_samples(piece["start"]), to_samples(piece["stop"])
        )
        fade = to_samples(piece.get("crossfade", 0.0))
        if fade:
            phase = (torch.arange(fade) + 0.5) / fade
            rise = torch.sin(phase * torch.pi / 2) ** 2
            audio[:fade] = rise * audio[:fade] + (1 - rise) * parts[-1][-fade:]
            parts[-1] = parts[-1][:-fade]
        parts.append(audio)
    return torch.cat(parts)
