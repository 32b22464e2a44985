"""SAVEE: British English by four men in seven emotions."""

from speechbrain_ext.corpora.base import AudioError, Corpus, pairs

SPEAKERS = ("DC", "JE", "JK", "KL")


def _describe(match, folders):
    speaker, emotion, number = match.groups()
    speaker = (speaker or folders[0]).upper()
    if speaker not in SPEAKERS:
        raise AudioError(
            f"neither its name nor its folder is that of a speaker "
            f"({', '.join(SPEAKERS)})"
        )
    return {
        "id": f"{speaker}_{emotion.lower()}{number}",
        "speaker": speaker,
        "label": emotion,
        "gender": "male",
        "sentence": int(number),
    }


CORPUS = Corpus(
    name="savee",
    title="SAVEE",
    notes="""
Names: speaker, emotion and number of the sentence. Layouts:
AudioData/DC/a01.wav (the release) and DC_a01.wav (an archive on Kaggle).
Counts: 480 recordings, 120 a speaker: 30 neutral ones and 15 of each other
emotion. Sentences with the same number differ between emotions.
Source: S. Haq and P. J. B. Jackson, "Multimodal Emotion Recognition", in W.
Wang (ed.), Machine Audition: Principles, Algorithms and Systems, IGI Global,
2010.""",
    emotions=pairs(
        "a=angry d=disgust f=fearful h=happy n=neutral sa=sad su=surprised"
    ),
    example="DC_a01.wav or DC/a01.wav",
    origin="kahlan.eps.surrey.ac.uk/savee, for research, on registration",
    size=480,
    language="en",
    pattern=r"(?:([A-Z]{2})_)?(sa|su|[a-z])(\d\d)",
    describe=_describe,
)
