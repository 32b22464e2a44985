"""Several recognizers as one: each judges a recording, and what they say is
fused as ``speechbrain_ext.recognition.fuse`` has written."""

import os
from pathlib import Path

import numpy as np
import torch

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.inference.interfaces import EmotionModel, Recognition
from speechbrain_ext.inference.texts import Listener, NoText
from speechbrain_ext.recognition.rule import FILE, read_fusion


def find_fusion(source):
    """The file that makes a folder, or a repository, a fusion; or None."""
    folder = Path(os.path.expanduser(str(source)))
    path = folder / FILE
    return path if os.path.lexists(path) else None


class FusedRecognizer(Recognition):
    """Fused models, with the face of ``EmotionRecognizer``.

    What a recording lacks, such as words, the members that do without stand in
    for, with a warning. ``parts`` of a recording that was judged are the
    probabilities by each member, None for those that could not judge.

    Arguments
    ---------
    fusion : speechbrain_ext.recognition.rule.Fusion
        Classes, names of the members, and the rule.
    members : list of EmotionRecognizer
        In the order of the names, over the same classes.
    transcriber : str or callable, optional
        Where members read texts: Whisper's folder or name, or a function from
        a list of waveforms to their texts.

    Raises
    ------
    UserError
        When a member knows other classes, or a transcriber is not needed.

    Example
    -------
    >>> from speechbrain_ext.encoders.features.prosody import ProsodyEncoder
    >>> from speechbrain_ext.inference import EmotionRecognizer
    >>> from speechbrain_ext.models.heads import DenseHead
    >>> from speechbrain_ext.recognition.rule import Fusion
    >>> def member():
    ...     parts = {"encoder": ProsodyEncoder(), "head": DenseHead(128, 2)}
    ...     return EmotionRecognizer(parts, {"classes": ["sad", "happy"]})
    >>> fusion = Fusion(["happy", "sad"], ["a", "b"], [0.6, 1.0])
    >>> fused = FusedRecognizer(fusion, [member(), member()])
    >>> fused.classify_batch(torch.zeros(1, 16000))[0].sum()
    tensor(1.)
    """

    def __init__(self, fusion, members, transcriber=None):
        self.fusion, self.members = fusion, members
        self.classes = list(fusion.classes)
        for name, member in zip(fusion.members, members):
            if set(member.classes) != set(self.classes):
                raise UserError(
                    f"model: '{name}' knows {', '.join(member.classes)}, the "
                    f"fusion {', '.join(self.classes)}; fuse models of the "
                    "same classes."
                )
        self.by_speaker = any(member.by_speaker for member in members)
        readers = [member for member in members if member.reads_text]
        self.reads_text = bool(readers)
        self.needs_text = len(readers) == len(members)
        if transcriber is not None and not readers:
            raise UserError("transcriber: no model reads text; leave it out.")
        known = [member.listener.transcriber for member in readers]
        named = next(filter(None, known), None)
        device = members[0].device
        self.listener = Listener(transcriber or named, device)
        for member in readers:
            # So that each stretch is transcribed once.
            member.listener = self.listener

    @classmethod
    def of_file(cls, path, load, *args, transcriber=None, **options):
        """Load, by a function of its source, each member that a
        ``fusion.json`` names."""
        fusion = read_fusion(path)
        members = []
        for name in fusion.members:
            inside = path.parent / os.path.expanduser(name)
            source = str(inside) if inside.is_dir() else name
            if find_fusion(source) is not None:
                raise UserError(
                    f"'{path}': the member '{name}' is a fusion itself; fuse "
                    "its members with the others."
                )
            members.append(load(source, *args, **options))
        return cls(fusion, members, transcriber)

    def __call__(self, wavs, wav_lens=None, speakers=None, texts=None):
        """As ``classify_batch``."""
        return self.classify_batch(wavs, wav_lens, speakers, texts)

    def survey(self, recordings, speakers, progress):
        """As of ``EmotionRecognizer``, for every member."""
        for member in self.members:
            if member.by_speaker:
                member.survey(recordings, speakers, progress)

    def judge(self, recording, speaker, progress=False):
        """Probabilities ``[classes]`` of a recording."""
        recording.parts, problem = {}, None
        rows = np.zeros((len(self.members), 1, len(self.classes)))
        for at, (name, member) in enumerate(
            zip(self.fusion.members, self.members)
        ):
            try:
                found = member.judge(recording, speaker, progress)
            except NoText as error:
                recording.parts[name], problem = None, error
                continue
            order = [member.classes.index(each) for each in self.classes]
            recording.parts[name] = found[order]
            rows[at, 0] = found[order]
        there = [[part is not None] for part in recording.parts.values()]
        if not np.any(there):
            raise problem
        fused = self.fusion(rows, np.array(there))
        return torch.from_numpy(fused[0]).float()

    def remarks(self, recording):
        """What each member has to say of a recording, once, and what could
        not judge it."""
        parts = getattr(recording, "parts", {})
        found = {
            remark: None
            for name, member in zip(self.fusion.members, self.members)
            if parts.get(name) is not None
            for remark in member.remarks(recording)
        }
        lacking = [name for name, part in parts.items() if part is None]
        if lacking:
            known = self.listener.transcriber or recording.text is not None
            why = "has no words" if known else "has no text, nor a transcriber"
            names = ", ".join(f"'{name}'" for name in lacking)
            found[f"{why}: it is judged without {names}"] = None
        return list(found)

    warn = EmotionModel.warn
