"""EmoDB: ten German sentences by ten actors in seven emotions."""

from speechbrain_ext.corpora.base import Corpus, pairs

GENDERS = pairs(
    "03=male 08=female 09=female 10=male 11=male 12=male 13=female "
    "14=female 15=male 16=female"
)
_SENTENCES = """
a01 Der Lappen liegt auf dem Eisschrank.
a02 Das will sie am Mittwoch abgeben.
a04 Heute Abend könnte ich es ihm sagen.
a05 Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.
a07 In sieben Stunden wird es soweit sein.
b01 Was sind denn das für Tüten, die da unter dem Tisch stehen?
b02 Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.
b03 An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes \
besucht.
b09 Ich will das eben wegbringen und dann mit Karl was trinken gehen.
b10 Die wird auf dem Platz sein, wo wir sie immer hinlegen.
"""
SENTENCES = dict(line.split(" ", 1) for line in _SENTENCES.split("\n")[1:-1])


def _describe(match, folders):
    speaker, sentence, emotion, version = match.groups()
    sentence, emotion = sentence.lower(), emotion.upper()
    CORPUS.check_codes(
        speaker=(speaker, GENDERS), sentence=(sentence, SENTENCES)
    )
    return {
        "id": match[0],
        "speaker": speaker,
        "label": emotion,
        "gender": GENDERS[speaker],
        "text": SENTENCES[sentence],
        "sentence": sentence,
        "version": version.lower(),
    }


CORPUS = Corpus(
    name="emodb",
    title="EmoDB",
    notes="""
Names: speaker, sentence, emotion (letters of German words: Wut, Langeweile,
Ekel, Angst, Freude, Trauer) and a letter that tells takes apart, as the
description that comes with the recordings says. Layout: wav/03a01Fa.wav.
Counts: 535 recordings, those of about 800 that listeners recognized and found
natural: 127 angry, 81 bored, 46 disgust, 69 fearful, 71 happy, 62 sad and 79
neutral. Speaker 08 has none of disgust, others have a single one.
Source: F. Burkhardt, A. Paeschke, M. Rolfes, W. F. Sendlmeier and B. Weiss, "A
Database of German Emotional Speech", Interspeech, 2005.""",
    emotions=pairs(
        "W=angry L=bored E=disgust A=fearful F=happy T=sad N=neutral"
    ),
    example="03a01Fa.wav",
    language="de",
    pattern=r"(\d\d)([ab]\d\d)([A-Z])([a-z])",
    describe=_describe,
)
