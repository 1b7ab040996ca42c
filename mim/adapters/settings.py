"""Which public collections there are adapters for."""

from enum import StrEnum


class Dataset(StrEnum):
    """Public collections that ``mim adapt`` reads; each has a module of its name."""

    rsna = "rsna"
    vindr = "vindr"
    cbis_ddsm = "cbis_ddsm"
    cmmd = "cmmd"
    inbreast = "inbreast"
    embed = "embed"
    csaw_cc = "csaw_cc"
    mini_mias = "mini_mias"
    mirai = "mirai"
