"""References and hypotheses from files, whoever wrote them.

References have the layout of ZED.json or are our own manifests. Hypotheses
are RTTM, or JSON in the layout of ZED.json, or JSON in the layout of what
SpeechBrain's ``Speech_Emotion_Diarization`` returns.
"""

from pathlib import Path, PurePosixPath

from speechbrain_ext.base.emotions import emotion_name
from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import read_json
from speechbrain_ext.metrics.rttm import read_rttm
from speechbrain_ext.metrics.segments import check_hypothesis
from speechbrain_ext.utterance import check_duration, check_segments

AUDIO_SUFFIXES = (
    ".wav .flac .mp3 .ogg .opus .m4a .aac .wma .aif .aiff .sph .mp4 .webm"
).split()


def read_reference(path):
    """Read the true emotions of utterances.

    Arguments
    ---------
    path : str or os.PathLike
        JSON in the layout of ZED.json, ``{id: {"duration", "emotion":
        [{"emo", "start", "end"}]}}``, or one of our manifests (where an
        ``emotion`` that is one word holds from end to end). ``speaker`` is
        optional.

    Returns
    -------
    dict
        ``{id: {"emotion": [{"emo", "start", "end"}], "duration": float,
        "speaker": str or None}}``, times in seconds.

    Raises
    ------
    UserError
        When the file cannot be read, or a record lacks a field or has a time
        that cannot be; the sentence names the id and the field.

    Example
    -------
    >>> path = getfixture("tmp_path") / "ZED.json"
    >>> _ = path.write_text('{"x": {"duration": 2.5, "emotion": "sad"}}')
    >>> read_reference(path)["x"]["emotion"]
    [{'emo': 'sad', 'start': 0.0, 'end': 2.5}]
    >>> read_reference(path)["x"]["speaker"] is None
    True
    """
    references = {}
    for id, record in _objects(path, "reference").items():
        where = f"'{path}', utterance '{id}'"
        if not isinstance(record, dict):
            raise UserError(f"{where}: the record is not an object.")
        for name in ("duration", "emotion"):
            if name not in record:
                raise UserError(f"{where}: the field '{name}' is missing.")
        duration, emotion = record["duration"], record["emotion"]
        check_duration(duration, where)
        if isinstance(emotion, str):
            emotion = [{"emo": emotion, "start": 0.0, "end": duration}]
        check_segments(emotion, duration, where)
        references[id] = {
            "emotion": [
                {
                    "emo": emotion_name(segment["emo"], where),
                    "start": float(segment["start"]),
                    "end": float(segment["end"]),
                }
                for segment in emotion
            ],
            "duration": float(duration),
            "speaker": _speaker(record.get("speaker"), where),
        }
    return references


def _speaker(value, where):
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise UserError(
            f"{where}: the field 'speaker' is {value!r}, not a name."
        )
    return str(value)


def read_hypothesis(path, ids=None):
    """Read what a system says, in any of three layouts.

    Arguments
    ---------
    path : str or os.PathLike
        ``.rttm``; or ``.json`` in the layout of SpeechBrain's
        ``Speech_Emotion_Diarization``, ``{id or audio file: [{"start", "end",
        "emotion": "h"}]}``; or ``.json`` in the layout of ZED.json.
    ids : collection of str, optional
        The ids of the reference. A name that is among them stays as it is;
        any other that looks like an audio file gives way to its stem.

    Returns
    -------
    dict
        ``{id: [{"start", "end", "emotion"}]}``, times in seconds, emotions as
        full words.

    Raises
    ------
    UserError
        When the file cannot be read or is in no such layout, when a segment
        cannot be, or when two names mean the same id.

    Example
    -------
    >>> path = getfixture("tmp_path") / "out.json"
    >>> _ = path.write_text('''{"/data/x_1.wav": [
    ...     {"start": 0.0, "end": 1.5, "emotion": "h"}]}''')
    >>> read_hypothesis(path)
    {'x_1': [{'start': 0.0, 'end': 1.5, 'emotion': 'happy'}]}
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".rttm":
        named = read_rttm(path)
    elif suffix == ".json":
        named = {
            name: _hypothesis(value, f"'{path}', utterance '{name}'")
            for name, value in _objects(path, "hypothesis").items()
        }
    else:
        raise UserError(
            f"'{path}' is neither '.rttm' nor '.json'; give a hypothesis in "
            "one of these formats."
        )
    names = {}
    for name in named:
        id = name if ids is not None and name in ids else _id(name)
        if id in names:
            raise UserError(
                f"'{path}': '{names[id]}' and '{name}' both mean the "
                f"utterance '{id}'; keep one of them."
            )
        names[id] = name
    return {id: named[name] for id, name in names.items()}


def _hypothesis(value, where):
    if isinstance(value, dict):
        if "emotion" not in value:
            raise UserError(f"{where}: the field 'emotion' is missing.")
        value = value["emotion"]
    return check_hypothesis(value, where)


def _id(name):
    # Whoever wrote the file may have worked on Windows.
    file = PurePosixPath(name.replace("\\", "/"))
    if len(file.parts) > 1 or file.suffix.lower() in AUDIO_SUFFIXES:
        return file.stem
    return name


def _objects(path, what):
    data = read_json(path)
    if not isinstance(data, dict) or not data:
        raise UserError(
            f"'{path}' is not a {what}: it holds no object of ids; give a "
            "file in the layout of ZED.json."
        )
    return data
