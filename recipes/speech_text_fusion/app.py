"""The web page of section V: emotion of recordings, by any model.

> streamlit run app.py -- MODEL [--diarizer MODEL] [--transcriber NAME]

Without MODEL it trains a small one. ``emotion-app`` starts the same page.
"""

import sys

from speechbrain_ext.app.page import show

show(sys.argv[1:])
