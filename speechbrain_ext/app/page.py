"""The page. Streamlit runs this file from its first line after each click."""

import logging
import re
import sys

import streamlit as st

from speechbrain_ext.app.command import MAX_MEGABYTES, MAX_SECONDS, parse
from speechbrain_ext.base.errors import UserError

# What the models need takes seconds to import: the functions that use it do.

logger = logging.getLogger("speechbrain_ext.app")

TITLE = "Emotion in speech"
NOTICE = """\
**What this page can tell, and what it cannot.** A model names the emotion that
a voice sounds like, by the examples that it was trained on: mostly actors, few
speakers, one language. It does not know what anybody feels. With other voices,
languages, rooms and microphones it errs often, and does not notice. Its shares
say how it divides its own guess, not how likely it is right. Do not judge or
choose people by it.

**The law.** In the European Union it is prohibited to use AI systems to infer
emotions of people at work and in education, except for medical or safety
reasons (AI Act, Regulation (EU) 2024/1689, Article 5(1)(f)). Ask people before
you record them.

**Recordings** are held in memory while this page is open. None is kept.
"""
_UNFORESEEN = (
    "This recording could not be judged, for a reason that was not foreseen; "
    "the log of the server has it. Try another recording."
)


@st.cache_resource(show_spinner="Loading the model ...")
def station(source, diarizer, transcriber):
    """The models, loaded once for all who open the page."""
    from speechbrain_ext.app.state import Station

    return Station(source, diarizer, transcriber)


@st.cache_resource(show_spinner=False)
def default_model():
    """The default model, which all who open the page wait for."""
    from speechbrain_ext.app.state import DefaultModel

    return DefaultModel()


def show(arguments):
    """Draw the page for a command line."""
    st.set_page_config(page_title=TITLE, layout="centered")
    st.title(TITLE)
    st.info(NOTICE)
    with _sentences():
        options = parse(arguments)
        source = options.model or _default_source()
        given = options.diarizer, options.transcriber
        models = station(str(source), *given)
        _describe(options, models)
        name, upload = _ask()
        if upload is not None:
            _analyse(models, name, upload)


class _sentences:
    """Shows an error as a sentence, and leaves the page usable."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, UserError):
            st.error(_plain(str(error)))
        elif isinstance(error, Exception):
            # Streamlit's own way to stop a page is none.
            logger.error("The page failed.", exc_info=error)
            st.error(_UNFORESEEN)
        return isinstance(error, Exception)


def _plain(text):
    """Names of files and classes as they are, not as Markdown."""
    return re.sub(r"([\\`*_~$:\[\]<>])", r"\\\1", text)


def _default_source():
    job = default_model()
    if not job.done.is_set():
        bar = st.progress(0.0)
        while not job.done.wait(0.5):
            share, text = job.progress()
            text = f"No model was given: a small one is trained ({text})."
            bar.progress(share, text)
        bar.empty()
    if job.problem:
        # So that the next one who opens the page tries again.
        default_model.clear()
        raise UserError(job.problem)
    return job.folder


def _describe(options, models):
    """What the page works with."""
    what = "one emotion for a recording"
    if not models.recognizes:
        what = "which emotion appears when"
    lines = [
        f"Model: `{options.model or 'quickstart, on synthetic speech'}`, {what}"
        f" ({_plain(', '.join(models.model.classes))})."
    ]
    if options.diarizer:
        lines.append(f"Timeline: `{options.diarizer}`.")
    if models.reads_text and not models.deaf:
        heard = models.model.listener.transcriber
        lines.append(f"Transcripts: `{getattr(heard, 'source', heard)}`.")
    st.caption("  \n".join(lines))


def _ask():
    """The name of a recording and its file; None where there is none."""
    ways = ["Upload a file", "Record"]
    if st.radio("Recording", ways, horizontal=True) == ways[1]:
        said = "Speak for about 3 seconds; longer is allowed."
        return "recording.wav", st.audio_input(said)
    upload = st.file_uploader(
        f"WAV, FLAC, MP3, OGG, Opus or AIFF, at any rate, of up to "
        f"{MAX_MEGABYTES} MB and {MAX_SECONDS // 60} minutes",
        max_upload_size=MAX_MEGABYTES,
    )
    return upload and upload.name, upload


def _analyse(models, name, upload):
    """Show a recording and what the models say of it."""
    from speechbrain_ext.app.state import check_size

    check_size(name, upload.size)
    data, state = upload.getvalue(), st.session_state
    # Of one recording alone, and no longer than the session.
    if state.get("shown") != upload.file_id:
        with st.spinner("Reading the recording ..."):
            state["recording"] = models.read(name, data)
        state["shown"], state["results"] = upload.file_id, {}
    recording = state["recording"]
    _show_recording(recording)
    key = f"text of {upload.file_id}"
    typed = state.get(key)
    heard = state["results"].get(None)
    if heard is not None and typed == heard.transcript:
        typed = None
    if models.deaf and not (typed or "").strip():
        typed = None
    result = None
    with _sentences():
        if models.deaf and typed is None and models.model.needs_text:
            st.warning(_plain(f"{models.deaf} Type what is said."))
        else:
            result = _judged(models, recording, data, typed)
    if models.reads_text:
        _edit(models, key, result)
    if result is not None:
        _show_result(models, result, recording)


def _judged(models, recording, data, text):
    """The result, computed once for each text."""
    results = st.session_state["results"]
    if text not in results:
        with st.spinner("Listening; another recording may come first ..."):
            found = models.judge(recording, data, text)
        # Of what was typed the last alone is kept.
        for each in [x for x in results if x is not None]:
            del results[each]
        results[text] = found
    return results[text]


def _show_recording(recording):
    from speechbrain_ext.app.state import as_wav

    header = recording.header
    st.image(recording.picture)
    st.audio(as_wav(recording.samples))
    channels = f"{header.channels} channels, averaged"
    channels = "one channel" if header.channels == 1 else channels
    rate = f"{header.sample_rate} Hz"
    if header.sample_rate != 16000:
        rate += ", resampled to 16000 Hz"
    text = f"{header.duration:.2f} s; {rate}; {channels}."
    if recording.cleaned is None:
        st.caption(f"{text} The model has no other preprocessing.")
        return
    seconds = len(recording.cleaned) / 16000
    st.caption(
        f"{text} What the model's preprocessing leaves, {seconds:.2f} s:"
    )
    st.audio(as_wav(recording.cleaned))


def _edit(models, key, result):
    """What is said, to be corrected."""
    heard = result.transcript if result is not None else ""
    st.session_state.setdefault(key, heard)
    about = "The result follows the text: correct it where it was misheard."
    if not models.deaf:
        heard = models.model.listener.transcriber
        if not getattr(heard, "multilingual", True):
            about += " The transcriber knows English alone."
    st.text_area("What is said", key=key)
    st.caption(about)


def _show_result(models, result, recording):
    for warning in result.warnings:
        st.warning(_plain(warning))
    st.subheader(f"It sounds {_plain(result.emotion)}")
    st.altair_chart(_bars(result.shares))
    if not models.recognizes:
        st.caption("The mean of the probabilities over the recording.")
    if result.members:
        st.caption("What each member of the fusion says")
        names = ["member", "emotion", "score", *result.shares]
        rows = [dict(zip(names, row)) for row in result.members]
        st.dataframe(rows, hide_index=True)
    if result.segments is not None:
        st.subheader("Which emotion appears when")
        st.image(result.picture)
        st.dataframe(result.segments, hide_index=True)
    stem = recording.name.rpartition(".")[0] or recording.name
    files = [
        ("CSV", result.csv, "text/csv"),
        ("RTTM", result.rttm, "text/plain"),
    ]
    for kind, text, mime in files:
        if text is not None:
            name = f"{stem}.{kind.lower()}"
            label = f"Download {kind}"
            st.download_button(label, text, name, mime, on_click="ignore")


def _bars(shares):
    """The shares of the emotions, in the colours of all pictures."""
    import altair

    from speechbrain_ext.plots.style import colour

    rows = [
        {"emotion": name, "share": share, "colour": colour(name)}
        for name, share in shares.items()
    ]
    data = altair.Data(values=rows)
    return (
        altair.Chart(data)
        .mark_bar()
        .encode(
            altair.X(
                "share:Q",
                axis=altair.Axis(format=".0%", title=None),
                scale=altair.Scale(domain=[0, 1]),
            ),
            altair.Y("emotion:N", sort="-x", title=None),
            altair.Color("colour:N", scale=None),
            tooltip=["emotion:N", altair.Tooltip("share:Q", format=".1%")],
        )
        .properties(height=34 * len(rows) + 40)
    )


if __name__ == "__main__":
    show(sys.argv[1:])
