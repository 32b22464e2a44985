"""ShEMO: Persian from radio plays, 87 speakers in six emotions."""

from speechbrain_ext.corpora.base import Corpus, pairs

GENDERS = {"F": "female", "M": "male"}


def _describe(match, folders):
    name = match[0].upper()
    return {
        "id": name,
        "speaker": name[:3],
        "label": name[3],
        "gender": GENDERS[name[0]],
        "number": int(name[4:]),
    }


CORPUS = Corpus(
    name="shemo",
    title="ShEMO",
    notes="""
Names: gender, speaker, emotion and number; F01 and M01 are two people.
Layout: the folders female and male.
Counts: the authors announce 3000 recordings by 31 women and 56 men; the
archives hold 2838 by the same 87 speakers: angry 1034 of 1042, fearful 29 of
32, happy 198 of 203, neutral 1018 of 1160, sad 360 of 362, surprised 199 of
201.
The codes say who speaks as far as the authors could tell from the plays. The
emotion is what most of twelve annotators heard. The archives hold no texts.
Source: O. Mohamad Nezami, P. Jamshid Lou and M. Karami, "ShEMO: a large-scale
validated database for Persian speech emotion detection", Language Resources
and Evaluation 53(1), 2019.""",
    emotions=pairs("A=angry F=fearful H=happy N=neutral S=sad W=surprised"),
    example="F01A01.wav",
    language="fa",
    pattern=r"([FM])(\d\d)([A-Z])(\d\d)",
    describe=_describe,
)
