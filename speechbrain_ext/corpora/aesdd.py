"""AESDD: Greek sentences by actors in five emotions."""

from speechbrain_ext.corpora.base import AudioError, Corpus

FOLDERS = {
    "anger": "a",
    "disgust": "d",
    "fear": "f",
    "happiness": "h",
    "sadness": "s",
}


def _describe(match, folders):
    emotion, sentence, speaker, take = match.groups()
    emotion, speaker, take = emotion.lower(), int(speaker), take.lower()
    CORPUS.check_codes(emotion=(emotion, CORPUS.emotions))
    if FOLDERS.get(folders[0].lower(), emotion) != emotion:
        raise AudioError(
            f"it lies in '{folders[0]}', but its name begins with '{emotion}'"
        )
    return {
        "id": f"{emotion}{sentence}_{speaker}{take}",
        "speaker": speaker,
        "label": emotion,
        "extra": {"sentence": int(sentence), "take": take},
    }


CORPUS = Corpus(
    name="aesdd",
    title="AESDD",
    source="N. Vryzas, R. Kotsakis, A. Liatsou, C. A. Dimoulas and G. "
    'Kalliris, "Speech Emotion Recognition for Performance Interaction", '
    "Journal of the Audio Engineering Society 66(6), 2018.",
    notes="""
Names: emotion, sentence (01 to 20, of which one is improvised) and speaker; a
letter at the end, "a06 (5)b.wav", tells takes of a sentence apart. In five
names of the release the speaker is (01); they are the very ones that speaker 1
would lack otherwise, so this is speaker 1. Layout: a folder an emotion. A
recording whose folder says another emotion than its name is skipped.
Counts: the publication has about 500 recordings of five actors; the files that
can be downloaded are 604 by six speakers: 20 of each speaker in each emotion,
but four are missing and eight second takes are added (121 angry, 122 disgust,
120 fearful, 119 happy, 122 sad).
That the number in parentheses is the speaker stands in the notes that come
with the recordings. They do not tell which speakers are women, so the records
have no gender; nor do they have texts.""",
    emotions={
        "a": "angry",
        "d": "disgust",
        "f": "fearful",
        "h": "happy",
        "s": "sad",
    },
    example="a01 (1).wav",
    language="el",
    pattern=r"([a-z])(\d\d) ?\((\d+)\) ?([a-z]?)",
    describe=_describe,
)
