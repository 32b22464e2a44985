"""What is said in a recording: given by the user, or by a transcriber."""

import os

from speechbrain_ext.base.errors import UserError, expected
from speechbrain_ext.base.files import read_csv
from speechbrain_ext.base.values import check_value


class Listener:
    """Texts of recordings and of their stretches.

    ``transcriber`` is a function from waveforms to texts, or the folder or
    name of a Whisper model, which is loaded when it is needed; or nothing.
    """

    def __init__(self, transcriber=None, device=None):
        if not callable(transcriber):
            check_value("transcriber", transcriber)
        self.transcriber, self.device = transcriber, device

    def attach(self, recordings, texts):
        """Give recordings their texts, where there are any, and make ready."""
        if texts is None:
            texts = [None] * len(recordings)
        texts = [texts] if isinstance(texts, str) else list(texts)
        wrong = [x for x in texts if not isinstance(x, str | None)]
        if len(texts) != len(recordings) or wrong:
            what = f"a text (or None) for each of {len(recordings)} recordings"
            raise expected("texts", what, wrong[0] if wrong else texts)
        for recording, text in zip(recordings, texts):
            recording.text, recording.heard = text, {}
        if None in texts:
            self.load()

    def load(self):
        """Load what transcribes, where it has only been named."""
        if isinstance(self.transcriber, str):
            # With transformers, whose import takes seconds.
            from speechbrain_ext.listening.transcripts import Transcriber

            self.transcriber = Transcriber(self.transcriber, self.device)

    def is_deaf(self, recordings):
        """Whether there is no way to the text of a recording."""
        unknown = any(each.text is None for each in recordings)
        return self.transcriber is None and unknown

    def text_of(self, recording, span, wav):
        """The text of a recording, or what is heard in a stretch of it."""
        if recording.text is not None:
            return recording.text
        if self.transcriber is None:
            return ""
        if span not in recording.heard:
            recording.heard[span] = self.transcriber([wav])[0].strip()
        return recording.heard[span]


class NoText(UserError):
    """A recording in which nothing is said, for a model of texts."""


def transcript_of(recording):
    """All that is said in a recording; empty if nothing is known."""
    if recording.text is not None:
        return recording.text
    return " ".join(filter(None, recording.heard.values()))


def texts_of(options):
    """The texts that the command ``recognize`` is given, by file."""
    if options.text is not None and options.transcripts is not None:
        raise UserError("--text and --transcripts: give one of them.")
    if options.text is not None:
        if len(options.files) > 1:
            raise UserError(
                f"--text is of one file, not of {len(options.files)}; give "
                "--transcripts."
            )
        return {options.files[0]: options.text}
    if options.transcripts is None:
        return {}
    path, remedy = options.transcripts, "give columns file and text"
    names, rows = read_csv(path, remedy)
    for name in ("file", "text"):
        if name not in names:
            raise UserError(f"'{path}' has no column '{name}'; {remedy}.")
    known = {}
    for where, row in rows:
        if known.setdefault(row["file"], row["text"]) != row["text"]:
            raise UserError(
                f"{where}: '{row['file']}' has another text already; remove "
                "one of the two."
            )
    for file in options.files:
        known.setdefault(file, known.get(os.path.basename(file)))
        if known[file] is None:
            raise UserError(
                f"'{path}' has no '{file}'; add it, with an empty text if "
                "nothing is said."
            )
    return {file: known[file] for file in options.files}


def check_texts(options, recognizer, texts):
    """Refuse texts that are not read, and none where some are needed."""
    given = "--transcripts" if options.transcripts else "--text"
    if texts and not recognizer.reads_text:
        raise UserError(
            f"{given}: '{options.model}' reads no text; leave the option out."
        )
    deaf = recognizer.listener.transcriber is None
    if recognizer.needs_text and deaf and not texts:
        raise UserError(
            f"--transcriber: '{options.model}' reads what is said, and names "
            "nothing that finds it out; give Whisper's folder or name, --text "
            "or --transcripts."
        )
    if recognizer.reads_text and not texts:
        # Before the first file, not for each of them.
        recognizer.listener.load()


class Details:
    """What the command ``recognize`` shows of a model that reads text, or that
    is a fusion: the transcript, and what each member says."""

    def __init__(self, recognizer):
        fusion = getattr(recognizer, "fusion", None)
        self.names = list(fusion.members) if fusion else []
        self.classes = recognizer.classes
        self.reads_text = recognizer.reads_text
        self.header = [f"{n}: {c}" for n in self.names for c in self.classes]
        self.header += ["transcript"] if self.reads_text else []

    def rows(self, recording):
        """Name, emotion, score and probabilities of every member."""
        for name in self.names:
            part = recording.parts[name]
            if part is not None:
                best = int(part.argmax())
                shares = part.tolist()
                yield [name, self.classes[best], shares[best], *shares]

    def show(self, recording):
        """Print the transcript."""
        if self.reads_text:
            print(f"transcript: {transcript_of(recording)}", flush=True)

    def cells(self, recording):
        """What stands in the table; empty where a member could not judge."""
        found = []
        for name in self.names:
            part = recording.parts[name]
            none = [""] * len(self.classes)
            shares = none if part is None else map("{:.6f}".format, part)
            found += shares
        return found + ([transcript_of(recording)] if self.reads_text else [])
