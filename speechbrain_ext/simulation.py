"""Utterances with several emotions, made by joining recordings of one speaker.

Section 5.1 of Wang et al. (2023). What is made is a plan: manifest records
whose ``pieces`` say which stretch of which file to read, and with which gain.
``compose`` turns pieces into audio when a batch is made.
"""

from collections import defaultdict

from speechbrain_ext.audio import SAMPLE_RATE, read_audio, to_samples
from speechbrain_ext.base.emotions import NEUTRAL
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.random import stable_rng
from speechbrain_ext.base.values import check_keys, check_value
from speechbrain_ext.utterance import Utterance

#: Figure 5: an emotional event alone, and before, after or between neutral.
SEQUENCES = (
    ("emotion",),
    (NEUTRAL, "emotion"),
    ("emotion", NEUTRAL),
    (NEUTRAL, "emotion", NEUTRAL),
)


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
    """Plan utterances with one emotional event each; say what is not used.

    In a pass every emotional recording (of ``listen``, with classes for
    emotions) is the event of one utterance. Each takes one of the four
    sequences of Figure 5 with probability 0.25, and the neutral recordings of
    its speaker in turn. Levels are matched to the first one. There are as many
    passes as ``utterances`` or ``hours`` take; pieces blend over ``crossfade``
    seconds. The plan follows from ids, seed and epoch, not from the order.
    """
    options = {"passes": passes, "utterances": utterances, "hours": hours}
    options |= {"crossfade": crossfade, "max_duration": max_duration}
    check_simulation(options)
    speakers, skipped = _by_speaker(recordings)
    plan, seconds, number = [], 0.0, 0
    while True:
        one_pass = []
        for speaker, (emotional, neutral) in sorted(speakers.items()):
            rng = stable_rng("simulate", seed, epoch, number, speaker)
            label = f"{epoch}-{number}"
            one_pass += _speaker_pass(emotional, neutral, rng, label, crossfade)
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
    check_value("simulation.*", options, where)
    check_keys("simulation.*", options, where)
    for name, value in options.items():
        check_value(f"simulation.*.{name}", value, f"{where}.{name}")
    defaults = {"passes": 1, "utterances": None, "hours": None}
    given = [x for x in defaults if options.get(x, defaults[x]) != defaults[x]]
    if len(given) > 1:
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


def _in_turns(items, rng):
    while True:
        # From the end, as a pile is taken down.
        yield from (items[i] for i in rng.permutation(len(items))[::-1])


def _speaker_pass(emotional, neutral, rng, label, crossfade):
    neutral = _in_turns(neutral, rng)
    plan = []
    for index in rng.permutation(len(emotional)):
        event = emotional[index]
        sequence = SEQUENCES[rng.integers(len(SEQUENCES))]
        parts = [event if x == "emotion" else next(neutral) for x in sequence]
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
            piece = {"wav": part.wav, "start": start / SAMPLE_RATE}
            piece |= {"stop": stop / SAMPLE_RATE, "gain": round(gain, 6)}
            if fade:
                piece["crossfade"] = fade / SAMPLE_RATE
            pieces.append(piece)
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


def compose(pieces):
    """Audio [samples] of a simulated utterance, at 16 kHz.

    ``{"wav", "start", "stop", "gain"}`` a piece, times in seconds; one that
    blends with the piece before it has ``"crossfade"`` (s), too.
    """
    import torch

    parts = []
    for piece in pieces:
        start, stop = to_samples(piece["start"]), to_samples(piece["stop"])
        audio = piece["gain"] * read_audio(piece["wav"], start, stop)
        fade = to_samples(piece.get("crossfade", 0.0))
        if fade:
            phase = (torch.arange(fade) + 0.5) / fade
            rise = torch.sin(phase * torch.pi / 2) ** 2
            audio[:fade] = rise * audio[:fade] + (1 - rise) * parts[-1][-fade:]
            parts[-1] = parts[-1][:-fade]
        parts.append(audio)
    return torch.cat(parts)
