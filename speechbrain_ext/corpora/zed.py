"""ZED: real-life utterances with the boundaries of their emotion."""

import json
import os
from collections import Counter
from pathlib import Path

from speechbrain_ext.base.errors import UserError, is_number
from speechbrain_ext.base.files import read_json, read_text
from speechbrain_ext.corpora.base import Corpus, list_files, pairs, probe_all
from speechbrain_ext.utterance import check_segments

# ZED.json is rounded to milliseconds and may come from another decoder; what
# differs by more (s) is another recording or a part of it.
TOLERANCE = 0.1


def _read(folder):
    _, others, skipped = list_files(folder)
    found = [path for path in others if path.name.lower() == "zed.json"]
    if not found:
        raise UserError(
            f"'{folder}' holds no ZED.json at any depth; give the folder "
            "where ZED was unpacked."
        )
    path = found[0]
    skipped += [(str(more), f"'{path}' is used") for more in found[1:]]
    records = _read_records(path, skipped)
    named = {id: _wav_of(record, path) for id, record in records.items()}
    audio = [(id, wav) for id, wav in named.items() if wav]
    usable, more = probe_all(audio, "ZED")
    skipped += more
    utterances = []
    for id, record in records.items():
        if named[id] and id not in usable:
            continue
        where = f"'{path}', utterance '{id}'"
        try:
            if id.split() != [id]:
                raise UserError(
                    f"{where}: the id is empty or has a space, which RTTM "
                    "does not allow; rename it."
                )
            if not named[id]:
                raise UserError(f"{where}: the field 'wav' names no file.")
            wav, seconds = usable[id]
            segments = _segments_of(record, seconds, where)
        except UserError as error:
            skipped.append((str(named[id] or path), str(error)))
            continue
        fields = {
            "speaker": "",
            "emotion": segments,
            "text": str(record.get("transcription") or "") or None,
            "original_label": [one["emo"] for one in segments],
        }
        utterances.append(CORPUS.utterance(id, wav, seconds, fields))
    return utterances, skipped


def _read_records(path, skipped):
    def as_object(pairs):
        # What an object has more than once stands beside it.
        counts = Counter(key for key, _ in pairs)
        repeated[:] = [key for key, count in counts.items() if count > 1]
        return dict(reversed(pairs))

    repeated = []
    # read_json has the sentences for a file that is no JSON.
    read_json(path, unique_keys=False)
    # The outermost object comes last.
    records = json.loads(read_text(path), object_pairs_hook=as_object)
    if not isinstance(records, dict) or not records:
        raise UserError(
            f"'{path}' holds no object of ids; take the official ZED.json."
        )
    for id in repeated:
        reason = f"the id '{id}' is there again; the first is used"
        skipped.append((str(path), reason))
    return records


def _wav_of(record, path):
    # None if the record names no file. FLAC may stand in for WAV.
    name = record.get("wav") if isinstance(record, dict) else None
    if not isinstance(name, str) or not name:
        return None
    name = name.replace("\\", "/").replace("datafolder", str(path.parent), 1)
    wav = Path(os.path.normpath(path.parent / name))
    flac = wav.parent / f"{wav.stem}.flac"
    return flac if flac.exists() and not wav.exists() else wav


def _segments_of(record, seconds, where):
    duration = record.get("duration", seconds)
    if (
        not is_number(duration, (int, float))
        or abs(duration - seconds) > TOLERANCE
    ):
        raise UserError(
            f"{where}: the field 'duration' is {duration!r}, but the "
            f"recording lasts {seconds:.3f} s (truncated, or another one)."
        )
    if "emotion" not in record:
        raise UserError(f"{where}: the field 'emotion' is missing.")
    segments = record["emotion"]
    check_segments(segments, max(duration, seconds), where)
    for one in segments:
        if one["emo"] not in CORPUS.emotions:
            raise UserError(f"{where}: ZED has no emotion '{one['emo']}'.")
    segments = [
        {
            "emo": one["emo"],
            "start": one["start"],
            "end": min(one["end"], seconds),
        }
        for one in segments
    ]
    check_segments(segments, seconds, where)
    return segments


CORPUS = Corpus(
    name="zed",
    title="ZED",
    notes="""
Layout: ZED.json with an object {id: {"wav": "datafolder/...",
"duration", "emotion": [{"emo", "start", "end"}], "transcription"}}, times in
seconds; datafolder stands for the folder where ZED.json lies. It names no
speakers. Counts (Table 1 of the paper): 180 utterances of 1 to 15 s by 73
speakers, 17 minutes; happy 34 %, sad 37 %, angry 29 %. One stretch of one
emotion an utterance, the rest is neutral.
Source: Y. Wang, M. Ravanelli and A. Yacoubi, "Speech Emotion Diarization:
Which Emotion Appears When?", ASRU 2023 (arXiv:2306.12991); CC BY-NC 4.0.""",
    emotions=pairs("happy sad angry neutral"),
    example="ZED.json",
    language="en",
    reader=_read,
)
