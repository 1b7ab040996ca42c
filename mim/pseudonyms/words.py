"""The closed list of words that a descriptor may keep.

Clean Descriptors Option, DICOM PS3.15 E.3.5: a description stays only where each of its words is one
of these or a label of a view, such as 'RMLO'. A name is never one of them unless it is a word of
mammography too, and then it names nobody.
"""

import re

from mim.dicom.makers import MAKERS
from mim.dicom.views import LABELS

ENGLISH = """
2d 3d acquired acquisition additional and assessment axilla axillary bilateral biopsy breast breasts
cad cancer caudal cc ce clinical combo compression contact contrast control cranial cranio cropped
dbt derived diagnostic digital displaced dual energy exam examination exaggerated ffdm film for full
generated high image images implant implants in lateral laterally lateromedial left low magnification
magnified mammo mammogram mammograms mammography mask medial medially medio mediolateral mg mlo
nipple oblique of original partial position presentation primary processed processing profile
programme program projection projections raw recall repeat right rmlo roi rolled routine screen
screening secondary series single specimen spot standard stereo study symptomatic synthesized
synthetic tomo tomosynthesis unilateral view views with
"""

NORWEGIAN = """
begge begrenset bilde bilder bryst brystet brystene diagnostikk digital forstørrelse frontal
frontprojeksjon høyre implantat kliniske klinisk kontroll kraniokaudal mammografi mammografiscreening
mammografiundersøkelse oblik projeksjon projeksjoner prosjeksjon screeningundersøkelse side
skråprojeksjon sidebilde skrå spotkompresjon standard tilleggsbilde tilleggsbilder tomosyntese
undersøkelse undersøkelser venstre vinkel
"""

GERMAN_AND_OTHERS = """
aufnahme aufnahmen beidseits beide brust links mammographie mammografie rechts untersuchung
mamografia mamografía mammographie bilatéral bilaterale dépistage droit gauche derecha izquierda
borst borsten bröst bröstet höger vänster hälsokontroll højre venstre undersøgelse
"""

WORDS = frozenset(
    (
        *" ".join((ENGLISH, NORWEGIAN, GERMAN_AND_OTHERS, *MAKERS)).split(),
        *(label.casefold() for label in LABELS),
        *"1234",
    )
)
"""In small letters. Single digits count views and rounds; longer numbers may be an identifier."""


def words(text: str) -> list[str]:
    """The words of a text in small letters."""
    return re.findall(r"[^\W_]+", text.casefold())


def harmless(text: str) -> bool:
    """Whether every word of the text is in the closed list."""
    return all(word in WORDS for word in words(text))
