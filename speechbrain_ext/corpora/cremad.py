"""CREMA-D: twelve sentences by 91 actors in six emotions."""

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import read_csv
from speechbrain_ext.corpora.base import Corpus, pairs

ACTORS = [str(number) for number in range(1001, 1092)]
# The last one is a slip in the name of 1040_ITH_SAD_X.wav.
INTENSITIES = pairs("LO=low MD=medium HI=high XX=unspecified X=unspecified")
_SENTENCES = """
DFA Don't forget a jacket.
IEO It's eleven o'clock.
IOM I'm on my way to the meeting.
ITH I think I have a doctor's appointment.
ITS I think I've seen this before.
IWL I would like a new alarm clock.
IWW I wonder what this is about.
MTI Maybe tomorrow it will be cold.
TAI The airplane is almost full.
TIE That is exactly what happened.
TSI The surface is slick.
WSI We'll stop in a couple of minutes.
"""
SENTENCES = dict(line.split(" ", 1) for line in _SENTENCES.split("\n")[1:-1])
DEMOGRAPHICS = ["ActorID", "Age", "Sex", "Race", "Ethnicity"]


def _describe(match, folders):
    speaker, sentence, emotion, intensity = match[0].upper().split("_")
    CORPUS.check_codes(
        actor=(speaker, ACTORS),
        sentence=(sentence, SENTENCES),
        intensity=(intensity, INTENSITIES),
    )
    return {
        "id": match[0].upper() + ("X" if intensity == "X" else ""),
        "speaker": speaker,
        "label": emotion,
        "text": SENTENCES[sentence],
        "sentence": sentence,
        "intensity": INTENSITIES[intensity],
    }


def _read_speakers(files, skipped):
    speakers = {}
    for path in files:
        if path.suffix != ".csv" or "demographics" not in path.stem.lower():
            continue
        try:
            columns, rows = read_csv(path, "unpack it again")
        except UserError as problem:
            skipped.append((str(path), str(problem)))
            continue
        if columns != DEMOGRAPHICS:
            reason = f"expected the columns {', '.join(DEMOGRAPHICS)}"
            skipped.append((str(path), reason))
            continue
        for _, row in rows:
            actor, age, sex, race, ethnicity = row.values()
            speakers[actor] = {
                "gender": sex.lower() or None,
                "age": int(age) if age.isdecimal() else None,
                "race": race,
                "ethnicity": ethnicity,
            }
    return speakers


CORPUS = Corpus(
    name="cremad",
    title="CREMA-D",
    notes="""
Names: actor, sentence, emotion and intensity, which is unspecified (XX) but
for one sentence (IEO). Layout: AudioWAV/1001_DFA_ANG_XX.wav. Beside it,
VideoDemographics.csv has sex, age, race and ethnicity of the actors; without
it they are not known. A clone without Git LFS holds pointers, no audio.
Counts: 7442 recordings, 1087 neutral and 1271 of each other emotion, 82 an
actor; 1002 and 1076 lack one, 1008, 1009 and 1019 a sentence. The labels are
what actors were told to act. 1076_MTI_SAD_XX.wav is silent, which
is seen when it is decoded.
Source: H. Cao, D. G. Cooper, M. K. Keutmann, R. C. Gur, A. Nenkova and R.
Verma, "CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset", IEEE
Transactions on Affective Computing 5(4), 2014.""",
    emotions=pairs(
        "ANG=angry DIS=disgust FEA=fearful HAP=happy NEU=neutral SAD=sad"
    ),
    example="1001_DFA_ANG_XX.wav",
    origin="github.com/CheyneyComputerScience/CREMA-D, Open Database License",
    size=7442,
    language="en",
    pattern=r"\d{4}_[A-Z]{3}_[A-Z]{3}_[A-Z]{1,2}",
    describe=_describe,
    read_speakers=_read_speakers,
)
