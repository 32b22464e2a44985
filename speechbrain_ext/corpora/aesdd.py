"""AESDD: Greek sentences by actors in five emotions."""

from speechbrain_ext.corpora.base import AudioError, Corpus, pairs

FOLDERS = {"anger", "disgust", "fear", "happiness", "sadness"}


def _describe(match, folders):
    emotion, sentence, speaker, take = match.groups()
    emotion, speaker, take = emotion.lower(), int(speaker), take.lower()
    CORPUS.check_codes(emotion=(emotion, CORPUS.emotions))
    folder = folders[0].lower()
    if folder in FOLDERS and folder[0] != emotion:
        raise AudioError(
            f"it lies in '{folders[0]}', but its name begins with '{emotion}'"
        )
    return {
        "id": f"{emotion}{sentence}_{speaker}{take}",
        "speaker": speaker,
        "label": emotion,
        "sentence": int(sentence),
        "take": take,
    }


CORPUS = Corpus(
    name="aesdd",
    title="AESDD",
    notes="""
Names: emotion, sentence (01 to 20, of which one is improvised) and speaker, as
the notes that come with the recordings say; a letter at the end tells takes
apart. In five names the speaker is (01): those that speaker 1 would lack
otherwise. Layout: a folder an emotion; a recording in the folder of another
one is skipped. Counts: 604 recordings by six speakers (the publication has
about 500 by five): 20 of each in each emotion but four, and eight second takes
(121 angry, 122 disgust, 120 fearful, 119 happy, 122 sad). Neither genders nor
texts are documented.
Source: N. Vryzas, R. Kotsakis, A. Liatsou, C. A. Dimoulas and G. Kalliris,
"Speech Emotion Recognition for Performance Interaction", Journal of the Audio
Engineering Society 66(6), 2018.""",
    emotions=pairs("a=angry d=disgust f=fearful h=happy s=sad"),
    example="a01 (1).wav",
    language="el",
    pattern=r"([a-z])(\d\d) ?\((\d+)\) ?([a-z]?)",
    describe=_describe,
)
