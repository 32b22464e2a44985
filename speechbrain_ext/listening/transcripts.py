"""Transcripts by Whisper, in place of the text that a corpus has.

Greedy search without timestamps: the same audio has the same transcript. Audio
beyond 30 s is transcribed in equal parts, which may cut a word in two.
"""

import itertools
import re
import unicodedata
from dataclasses import replace

import torch
from transformers import WhisperForConditionalGeneration

from speechbrain_ext.audio import SAMPLE_RATE
from speechbrain_ext.base.errors import UserError, reason
from speechbrain_ext.base.files import fingerprint
from speechbrain_ext.data import load_waveform
from speechbrain_ext.encoders import loading
from speechbrain_ext.encoders.base import digest_of
from speechbrain_ext.listening.recordings import recall
from speechbrain_ext.store import read_by

# The longest part.
PART = 30 * SAMPLE_RATE
# Parts that are transcribed together.
_BATCH = 8
# A word, with apostrophes within; what corpora bracket is none.
_WORD = re.compile(r"\w+(?:'\w+)*")
_BRACKETED = re.compile(r"\[[^\[\]]*\]")


class Transcriber:
    """A Whisper of any size, from waveforms to texts.

    Arguments
    ---------
    source : str
        Folder of a checkpoint, or its name on the Hugging Face Hub.
    device : str or torch.device
        Where it runs.

    Raises
    ------
    UserError
        When the source is no checkpoint of Whisper.
    """

    def __init__(self, source, device="cpu"):
        try:
            config = loading.load_config(source, types=("whisper",))
            self.extractor = loading.load_feature_extractor(source, None)
            given = source, None, "WhisperTokenizer"
            self.tokenizer = loading.load_tokenizer(*given)
            self.model = loading.load_weights(
                WhisperForConditionalGeneration, source, config, None
            )
        except UserError as error:
            sentence = str(error).replace("encoder source", "transcriber", 1)
            raise UserError(sentence) from error
        self.source = source
        self.model.to(device).eval()
        settings = self.model.generation_config
        self.multilingual = bool(getattr(settings, "is_multilingual", False))
        # Half of the positions, as in Whisper's own code.
        self.most = max(1, config.max_target_positions // 2)
        self.fingerprint = fingerprint(
            [digest_of(self.model.state_dict()), settings.to_dict(), PART],
            self.tokenizer.backend_tokenizer.to_str(),
        )

    def language_of(self, language):
        """What the model is told of an ISO 639-1 code; ``None``: it listens."""
        if self.multilingual:
            known = getattr(self.model.generation_config, "lang_to_id", {})
            return language if f"<|{language}|>" in known else None
        if language not in (None, "en"):
            raise UserError(
                f"transcriber: '{self.source}' knows English alone, and a "
                f"recording is in '{language}'; choose a multilingual model."
            )
        return None

    def __call__(self, waveforms, language=None):
        """The texts of waveforms ``[samples]`` at 16 kHz, in one language."""
        counts = [max(1, -(-len(wav) // PART)) for wav in waveforms]
        parts = [wav.tensor_split(n) for wav, n in zip(waveforms, counts)]
        texts = iter(self._texts(sum(parts, ()), self.language_of(language)))
        joined = (" ".join(itertools.islice(texts, n)) for n in counts)
        return [" ".join(text.split()) for text in joined]

    @torch.inference_mode()
    def hear_language(self, waveform):
        """ISO 639-1 code of the language that a multilingual model hears in
        the first part of a waveform; of other models None."""
        if not self.multilingual:
            return None
        [token] = self.model.detect_language(self._features([waveform[:PART]]))
        names = self.model.generation_config.lang_to_id
        [name] = [name for name, at in names.items() if at == int(token)]
        return name.strip("<|>")

    def _features(self, parts):
        """What Whisper's encoder reads of waveforms of up to 30 s."""
        features = self.extractor(
            [part.numpy() for part in parts],
            sampling_rate=SAMPLE_RATE,
            return_tensors="pt",
        ).input_features
        return features.to(self.model.device)

    @torch.inference_mode()
    def _texts(self, parts, language):
        options = {"num_beams": 1, "do_sample": False}
        if self.multilingual:
            options |= {"language": language, "task": "transcribe"}
        for at in range(0, len(parts), _BATCH):
            features = self._features(parts[at : at + _BATCH])
            try:
                # It warns of settings that come with the checkpoint.
                with loading.quiet():
                    tokens = self.model.generate(
                        features,
                        num_return_sequences=1,
                        max_new_tokens=self.most,
                        return_timestamps=False,
                        **options,
                    )
            except (ArithmeticError, LookupError, TypeError, ValueError) as e:
                raise UserError(
                    f"transcriber: '{self.source}' does not transcribe "
                    f"({reason(e)}), for settings of its own that are "
                    "invalid; choose another model."
                ) from e
            yield from self.tokenizer.batch_decode(
                tokens, skip_special_tokens=True
            )


def transcribe(utterances, source, cache=None, progress=True, device="cpu"):
    """Utterances with the transcripts of a Whisper as their text.

    The corpus' own text is kept as ``reference_text`` in ``extra``. A ``cache``
    keeps transcripts as that of ``listen`` does, by the content of the audio
    and the model.

    Returns
    -------
    utterances : list of Utterance
        An empty transcript leaves no text.
    record : dict
        The ``transcriber``, the number of ``recordings`` and of ``empty``
        transcripts, and ``word_error_rate`` in percent over those with a text
        of their own (``compared``), or ``None``.
    """
    for one in utterances:
        if not one.wav:
            raise UserError(
                f"transcriber: '{one.id}' of {one.corpus} is a text without "
                "audio; set transcriber to null."
            )
    model = Transcriber(source, device)
    keys = [
        fingerprint(read_by("audio", one.to_dict()), model.fingerprint, said)
        for one in utterances
        for said in [model.language_of(one.language)]
    ]

    def find(todo):
        def language(item):
            return item[1].language or ""

        for said, group in itertools.groupby(
            sorted(todo.items(), key=language), language
        ):
            while batch := list(itertools.islice(group, _BATCH)):
                wavs = [load_waveform(one.to_dict()) for _, one in batch]
                texts = model(wavs, said or None)
                yield {key: {"text": x} for (key, _), x in zip(batch, texts)}

    title = progress and "Transcribing"
    known = recall(utterances, keys, _fits, find, cache, title)
    heard = []
    for one, key in zip(utterances, keys):
        own = {"reference_text": one.text} if one.text else {}
        text = known[key]["text"] or None
        heard.append(replace(one, text=text, extra={**one.extra, **own}))
    pairs = [
        (one.extra["reference_text"], one.text or "")
        for one in heard
        if "reference_text" in one.extra
    ]
    rate, compared = word_error_rate(pairs)
    return heard, {
        "transcriber": str(source),
        "recordings": len(heard),
        "empty": sum(one.text is None for one in heard),
        "compared": compared,
        "word_error_rate": rate,
    }


def word_error_rate(pairs):
    """Word error rate in percent over pairs of reference and transcript, and
    the number of those whose reference has words; ``None`` without any.

    Words are compared in lower case, without punctuation and without what the
    reference has in square brackets; numbers and contractions stay.

    Example
    -------
    >>> word_error_rate([("No, I DON'T! [LAUGHTER]", "no i do")])
    (33.33333333333333, 1)
    """
    import jiwer

    pairs = [tuple(map(normalise, pair)) for pair in pairs]
    pairs = [(reference, found) for reference, found in pairs if reference]
    if not pairs:
        return None, 0
    references, found = map(list, zip(*pairs))
    return 100 * jiwer.wer(references, found), len(pairs)


def normalise(text):
    """The words of a text, in lower case, with single spaces."""
    text = unicodedata.normalize("NFKC", _BRACKETED.sub(" ", text))
    return " ".join(_WORD.findall(text.lower().replace("’", "'")))


def _fits(found, utterance):
    """Whether a cache says of a recording what it can say."""
    return (
        isinstance(found, dict)
        and found.keys() == {"text"}
        and isinstance(found["text"], str)
    )
