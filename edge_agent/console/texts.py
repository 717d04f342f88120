"""The console's languages: Babel catalogues, read at start without a compile step.

Message ids are the English texts. Texts that reach `Texts` through a variable are marked with
`N_` where they are written, so that they are found by extraction all the same.
"""

from __future__ import annotations

import functools
import gettext
import io
from pathlib import Path
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES: Final = {"th": "ไทย", "en": "English"}
"""Language codes with each language's own name, in the order of the switch."""

LOCALE_DIR: Final = Path(__file__).parent / "locale"
DOMAIN: Final = "console"


def N_(message: str) -> str:  # noqa: N802 - the name every gettext tool knows
    """Marks a message id; returns it unchanged."""
    return message


class Texts:
    """Translates into one language: `t("Trucks")`, `t("Page {page}", page=3)`."""

    def __init__(self, language: str) -> None:
        """Raises KeyError for a language the console does not have."""
        if language not in LANGUAGES:
            raise KeyError(language)
        self.language = language
        self._translations = _translations(language)

    def __call__(self, message: str, /, **values: object) -> str:
        """The text, with {names} filled in; a message that is in no catalogue stays as it is."""
        text = self._translations.gettext(message)
        return text.format(**values) if values else text


@functools.cache
def _translations(language: str) -> gettext.GNUTranslations:
    file = LOCALE_DIR / language / "LC_MESSAGES" / f"{DOMAIN}.po"
    with file.open("rb") as source:
        catalogue = read_po(source, locale=language, domain=DOMAIN)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
