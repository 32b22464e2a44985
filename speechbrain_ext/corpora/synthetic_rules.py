"""The rules by which the synthetic corpus speaks, relative to neutral speech.

happy: rate +30 %, pitch +50 %, range +100 % [S], louder [A]. sad: duration
129 % [M]; pitch lower [A]; range and loudness -5 on a scale to -10 [S]. angry:
+30 words a minute, +10 Hz, +9 semitones of range, +6 dB [S].
[S] M. Schröder, "Emotional speech synthesis: a review", Eurospeech 2001, Table
1 (rules of Burkhardt and Sendlmeier 2000, Cahn 1990, Murray and Arnott 1995);
[A] I. R. Murray and J. L. Arnott, JASA 93(2), 1993, Table I;
[M] S. Mozziconacci, "Speech variability and emotion", TU Eindhoven, 1998.

``EMOTIONS`` is this in factors and decibels. Where a source gives a scale or a
direction the size is ours. Ten hertz are 9 % of a male voice of 110 Hz, thirty
words 17 % of espeak-ng's 175 a minute; its range can at most be doubled. The
rules are of acted, full emotion: an utterance follows them with a strength of
its own, and varies besides, so that the classes overlap.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np

from speechbrain_ext.base.files import fingerprint


@dataclass(frozen=True)
class Manner:
    """How something is said, relative to the voice's neutral way."""

    rate: float
    pitch: float
    range: float
    loudness: float


EMOTIONS = {
    "neutral": Manner(rate=1.00, pitch=1.00, range=1.0, loudness=0.0),
    "happy": Manner(rate=1.30, pitch=1.50, range=2.0, loudness=3.0),
    "sad": Manner(rate=1 / 1.29, pitch=0.95, range=0.5, loudness=-4.0),
    "angry": Manner(rate=1.17, pitch=1.09, range=2.0, loudness=6.0),
}

# How much of the rule an utterance follows: mean and standard deviation, and
# the bounds. The effect of strength s is the rule's factor to the power of s.
STRENGTH = {"mean": 0.8, "deviation": 0.25, "least": 0.3, "most": 1.2}

# Standard deviations within a class: of the logarithm of a factor, and dB.
VARIATION = Manner(rate=0.08, pitch=0.06, range=0.20, loudness=1.5)

# Name, gender, voice of espeak-ng, and the speaker's habits.
SPEAKERS = [
    ("s01", "female", "en-us+f2", Manner(1.00, 1.00, 1.00, 0.0)),
    ("s02", "male", "en-us+m3", Manner(1.00, 1.00, 1.00, 0.0)),
    ("s03", "female", "en+f5", Manner(1.08, 1.02, 0.90, 1.0)),
    ("s04", "male", "en+m7", Manner(0.94, 0.97, 1.10, -1.0)),
    ("s05", "female", "en-us+belinda", Manner(0.95, 0.93, 1.05, -2.0)),
    ("s06", "male", "en-us+Lee", Manner(1.06, 1.05, 0.95, 1.0)),
    ("s07", "female", "en-gb-scotland+f3", Manner(1.00, 0.95, 1.10, 1.5)),
    ("s08", "male", "en-gb-scotland+m6", Manner(0.97, 1.02, 1.05, 0.0)),
    ("s09", "female", "en-gb-x-rp+Annie", Manner(0.92, 0.98, 0.95, 2.0)),
    ("s10", "male", "en-gb-x-rp+m2", Manner(1.04, 1.08, 1.00, 1.5)),
    ("s11", "female", "en-us+f4", Manner(1.05, 1.00, 1.00, -1.0)),
    ("s12", "male", "en-us+travis", Manner(0.93, 0.94, 1.10, -1.5)),
]

SENTENCES = [
    "The blue folder is on the second shelf.",
    "We walked along the river until noon.",
    "There are nine chairs around the table.",
    "He put the letter under the lamp.",
    "The next train leaves from platform four.",
    "She keeps her keys in the top drawer.",
    "They moved the boxes to the other room.",
    "The window looks out on the garden.",
    "I will call you again on Tuesday morning.",
    "The meeting has been moved to the large hall.",
    "My brother works in the shop by the station.",
    "You can leave the bag near the door.",
    "The water in the lake was ten degrees.",
    "Most of the paper is made in this town.",
    "Her coat is the green one on the left.",
    "The road turns right behind the old mill.",
    "We need two more cups and a spoon.",
    "The report has sixteen pages and a map.",
    "He reads the paper before he goes to work.",
    "It takes an hour to get to the coast.",
    "The lights go on at half past six.",
    "Someone has put the ladder back in the barn.",
    "The soup is made of carrots and beans.",
    "They painted the kitchen white last year.",
    "The bus was standing at the corner.",
    "I wrote the number on the back of the card.",
    "The clock in the hall is three minutes slow.",
    "She bought bread and a bottle of milk.",
    "The cat is asleep on the kitchen floor.",
    "You have to press the button twice.",
]


def manner_of(seed, speaker, sentence, emotion, repetition):
    """How an utterance is said."""
    name, _, _, habits = SPEAKERS[speaker]
    draw = generator(seed, name, sentence, emotion, repetition).normal
    rule = EMOTIONS[emotion]
    strength = draw(STRENGTH["mean"], STRENGTH["deviation"])
    strength = min(max(strength, STRENGTH["least"]), STRENGTH["most"])

    def factor(habit, effect, deviation):
        return habit * effect**strength * math.exp(draw(0, deviation))

    louder = habits.loudness + strength * rule.loudness
    return Manner(
        rate=factor(habits.rate, rule.rate, VARIATION.rate),
        pitch=factor(habits.pitch, rule.pitch, VARIATION.pitch),
        range=factor(habits.range, rule.range, VARIATION.range),
        loudness=louder + draw(0, VARIATION.loudness),
    )


def to_espeak(manner):
    """A manner in the numbers of espeak-ng."""
    # Measured on espeak-ng 1.52: a step of its pitch is about one percent, and
    # doubling the range lifts the mean by about 15 %, which is taken back.
    pitch = 50 + 100 * math.log(manner.pitch) - 14 * (manner.range - 1)
    values = 175 * manner.rate, pitch, 50 * manner.range
    bounded = np.clip(values, (80, 0, 0), (450, 99, 100)).round().astype(int)
    return dict(zip(("rate", "pitch", "range"), bounded.tolist()))


def digest():
    """Digest of everything but the arguments that shapes the corpus."""
    return fingerprint(
        {name: asdict(rule) for name, rule in EMOTIONS.items()},
        [[*speaker[:3], asdict(speaker[3])] for speaker in SPEAKERS],
        SENTENCES,
        STRENGTH,
        asdict(VARIATION),
    )


def generator(*keys):
    """Random numbers that depend on the keys alone, on every machine."""
    return np.random.default_rng(int(fingerprint(*keys), 16))
