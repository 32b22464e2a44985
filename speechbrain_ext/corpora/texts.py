"""Text files of corpora, which come in whatever encoding their makers used."""

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
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    if mandarin:
        return data.decode("gb18030", "backslashreplace")
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        text = None
    if text is not None and not _HAN.search(text):
        return text
    return data.decode("cp1252", "backslashreplace")


def text_lines(path, skipped, mandarin=False):
    """Lines of a text file; one that is not readable goes to ``skipped``."""
    try:
        data = path.read_bytes()
    except OSError as error:
        skipped.append((str(path), f"is not readable: {error.strerror}"))
        return []
    # str.splitlines would also break at characters that texts may hold.
    return re.split(r"\r\n|\r|\n", decode(data, mandarin))
