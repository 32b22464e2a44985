"""RAVDESS: two statements, spoken and sung by 24 actors in eight emotions.

S. R. Livingstone and F. A. Russo, "The Ryerson Audio-Visual Database of
Emotional Speech and Song (RAVDESS)", PLOS ONE 13(5), 2018.
Licence: CC BY-NC-SA 4.0.

Names: seven two-digit codes ``03-01-05-01-02-01-12.wav`` for modality (03 is
audio only), vocal channel (01 speech, 02 song), emotion, intensity (01 normal,
02 strong), statement, repetition and actor. Actors with odd numbers are men,
those with even numbers women.

Layouts: ``Actor_01/``, ``Audio_Speech_Actors_01-24/Actor_01/`` (Zenodo), and
an archive on Kaggle that holds every file twice; the second copy is skipped.

Counts: 1440 spoken recordings, 60 an actor: 96 neutral and 192 of each other
emotion. The sung part has no disgust and no surprise.

Every field follows from the published meaning of the codes.
"""

from speechbrain_ext.corpora.base import Unusable, read_by_name

EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
CHANNELS = {"01": "speech", "02": "song"}
INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {
    "01": "Kids are talking by the door.",
    "02": "Dogs are sitting by the door.",
}


def read(folder):
    """Read RAVDESS."""
    return read_by_name(
        folder,
        corpus="ravdess",
        title="RAVDESS",
        pattern=r"\d\d(?:-\d\d){6}",
        example="03-01-05-01-01-01-01.wav",
        describe=_describe,
    )


def _describe(match, folders):
    modality, channel, emotion, intensity, statement, repetition, actor = match[
        0
    ].split("-")
    if modality != "03":
        raise Unusable(
            f"modality {modality} is the sound of a video; RAVDESS has it as a "
            "recording of its own (03)"
        )
    for what, code, known in (
        ("vocal channel", channel, CHANNELS),
        ("emotion", emotion, EMOTIONS),
        ("intensity", intensity, INTENSITIES),
        ("statement", statement, STATEMENTS),
        ("actor", actor, {f"{number:02d}" for number in range(1, 25)}),
    ):
        if code not in known:
            raise Unusable(f"RAVDESS has no {what} {code}")
    return {
        "id": f"ravdess_{match[0]}",
        "speaker": f"ravdess_{actor}",
        "emotion": EMOTIONS[emotion],
        "gender": "male" if int(actor) % 2 else "female",
        "language": "en",
        "text": STATEMENTS[statement],
        "extra": {
            "vocal_channel": CHANNELS[channel],
            "intensity": INTENSITIES[intensity],
            "statement": int(statement),
            "repetition": int(repetition),
            "original_label": emotion,
        },
    }
