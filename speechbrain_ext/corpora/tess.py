"""TESS: 200 words in one sentence by two actresses in seven emotions."""

from speechbrain_ext.corpora.base import Corpus, pairs

# The older and the younger actress, and a slip in OA_bite_neutral.wav.
SPEAKERS = pairs("OAF OA=OAF YAF")
AGES = {"OAF": 64, "YAF": 26}


def _describe(match, folders):
    speaker, word, label = match.groups()
    CORPUS.check_codes(speaker=(speaker.upper(), SPEAKERS))
    speaker = SPEAKERS[speaker.upper()]
    word, label = word.lower(), label.lower()
    return {
        "id": f"{speaker}_{word}_{label}",
        "speaker": speaker,
        "label": label,
        "gender": "female",
        "text": f"Say the word {word}.",
        "word": word,
        "age": AGES[speaker],
    }


CORPUS = Corpus(
    name="tess",
    title="TESS",
    notes="""
Names: actress, word and emotion; ps is pleasant surprise. Layouts: flat, or
folders such as OAF_angry and OAF_Pleasant_surprise, whose spelling differs
(OAF_Fear, YAF_fear, YAF_pleasant_surprised) and which nothing is read from; an
archive on Kaggle holds every file twice.
Counts: 2800 recordings, 200 words of each actress in each emotion, at 24,414
Hz (one has 96,000 Hz). The emotion is told by the voice alone: every recording
says "Say the word ...".
Source: M. K. Pichora-Fuller and K. Dupuis, "Toronto emotional speech set
(TESS)", University of Toronto, 2020.""",
    emotions=pairs("angry disgust fear=fearful happy neutral ps=surprised sad"),
    example="OAF_back_angry.wav",
    origin="doi.org/10.5683/SP2/E8H2MF, CC BY-NC-ND 4.0",
    size=2800,
    language="en",
    pattern=r"([A-Z]+)_([A-Z]+)_([A-Z]+)",
    describe=_describe,
)
