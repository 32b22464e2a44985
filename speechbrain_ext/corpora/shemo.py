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
        "extra": {"number": int(name[4:])},
    }


CORPUS = Corpus(
    name="shemo",
    title="ShEMO",
    source='O. Mohamad Nezami, P. Jamshid Lou and M. Karami, "ShEMO: a '
    'large-scale validated database for Persian speech emotion detection", '
    "Language Resources and Evaluation 53(1), 2019.",
    notes="""
Names: gender, speaker, emotion and number; F01 and M01 are two people.
Layout: the folders female and male.
Counts: the publication and the authors' list of labels have 3000 recordings by
31 women and 56 men; the archives that can be downloaded hold 2838 by the same
87 speakers.

=========  =========  ========  =======
           announced  released  missing
=========  =========  ========  =======
angry      1042       1034      8
fearful    32         29        3
happy      203        198       5
neutral    1160       1018      142
sad        362        360       2
surprised  201        199       2
=========  =========  ========  =======

The codes say who speaks as far as the authors could tell from the plays. The
emotion is what most of twelve annotators heard. The archives hold no texts.""",
    emotions=pairs("A=angry F=fearful H=happy N=neutral S=sad W=surprised"),
    example="F01A01.wav",
    language="fa",
    pattern=r"([FM])(\d\d)([A-Z])(\d\d)",
    describe=_describe,
)
