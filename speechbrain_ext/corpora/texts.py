"""Text files of corpora, which come in whatever encoding their makers used."""

import contextlib
import re

# Chinese characters, and what no text of a corpus has.
_HAN = re.compile("[\u3400-\u9fff\ue000-\ufaff\U00010000-\U0010ffff]")


def decode(data, mandarin=False):
    """Decode a text of unknown encoding without losing a character."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "backslashreplace")
    if b"\0" in data:
        # UTF-16 without its mark: a line break or a Latin letter has its
        # zero byte second (little-endian) or first (big-endian).
        little = data[1::2].count(0) > data[::2].count(0)
        encoding = "utf-16-le" if little else "utf-16-be"
        return data.decode(encoding, "backslashreplace")
    for encoding in ("utf-8-sig", "gb18030"):
        with contextlib.suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            if encoding == "utf-8-sig" or mandarin or not _HAN.search(text):
                return text
    encoding = "gb18030" if mandarin else "cp1252"
    return data.decode(encoding, "backslashreplace")


def text_lines(path, skipped, mandarin=False):
    """Lines of a text file; one that is not readable goes to ``skipped``."""
    try:
        data = path.read_bytes()
    except OSError as error:
        skipped.append((str(path), f"is not readable: {error.strerror}"))
        return []
    # str.splitlines would also break at characters that texts may hold.
    return re.split(r"\r\n|\r|\n", decode(data, mandarin))
