"""A web page that tells the emotion of recordings: ``emotion-app [MODEL]``.

Streamlit, which draws it, is imported by ``page.py`` and ``command.py`` alone.
"""
