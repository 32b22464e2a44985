"""RAVDESS: two statements, spoken and sung by 24 actors in eight emotions."""

from speechbrain_ext.corpora.base import AudioError, Corpus, pairs

CHANNELS = {"01": "speech", "02": "song"}
INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {
    "01": "Kids are talking by the door.",
    "02": "Dogs are sitting by the door.",
}
ACTORS = [f"{number:02d}" for number in range(1, 25)]


def _describe(match, folders):
    modality, channel, emotion, *codes = match[0].split("-")
    intensity, statement, repetition, actor = codes
    if modality != "03":
        raise AudioError(
            f"modality {modality} is the sound of a video; RAVDESS has it as a "
            "recording of its own (03)"
        )
    CORPUS.check_codes(
        vocal_channel=(channel, CHANNELS),
        intensity=(intensity, INTENSITIES),
        statement=(statement, STATEMENTS),
        actor=(actor, ACTORS),
    )
    return {
        "id": match[0],
        "speaker": actor,
        "label": emotion,
        "gender": "male" if int(actor) % 2 else "female",
        "text": STATEMENTS[statement],
        "vocal_channel": CHANNELS[channel],
        "intensity": INTENSITIES[intensity],
        "statement": int(statement),
        "repetition": int(repetition),
    }


CORPUS = Corpus(
    name="ravdess",
    title="RAVDESS",
    notes="""
Names: seven two-digit codes for modality (03 is audio only), vocal channel,
emotion, intensity, statement, repetition and actor; actors with odd numbers
are men. Layouts: Actor_01/, Audio_Speech_Actors_01-24/Actor_01/ (Zenodo), and
an archive on Kaggle that holds every file twice.
Counts: 1440 spoken recordings, 60 an actor: 96 neutral and 192 of each other
emotion. The sung part has no disgust and no surprise.
Source: S. R. Livingstone and F. A. Russo, "The Ryerson Audio-Visual Database
of Emotional Speech and Song (RAVDESS)", PLOS ONE 13(5), 2018.""",
    emotions=pairs(
        "01=neutral 02=calm 03=happy 04=sad 05=angry 06=fearful "
        "07=disgust 08=surprised"
    ),
    example="03-01-05-01-01-01-01.wav",
    origin="zenodo.org/records/1188976, CC BY-NC-SA 4.0",
    size=1440,
    language="en",
    pattern=r"\d\d(?:-\d\d){6}",
    describe=_describe,
)
