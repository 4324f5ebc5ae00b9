"""A library of POTCARs without physics, so that the path that reads them is tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pymatgen.core import Element
from pymatgen.io.vasp.sets import MPRelaxSet

from wyckflow.vasp.simulator.inputs import count_valence

if TYPE_CHECKING:
    from pathlib import Path

FOLDER: Final = "POT_GGA_PAW_PBE"
"""Where pymatgen looks for the functional PBE in its library."""

_HEADER: Final = """\
  PAW_PBE {symbol} SIMULATED
 {valence:20.14f}
 parameters from PSCTR are:
   VRHFIN ={element}: simulated
   LEXCH  = PE
   EATOM  =    10.0000 eV,    0.7350 Ry

   TITEL  = PAW_PBE {symbol} SIMULATED
   LULTRA =        F    use ultrasoft PP ?
   POMASS = {mass:8.3f}; ZVAL   = {valence:8.3f}    mass and valenz
   RCORE  =    1.900    outmost cutoff radius
   RWIGS  =    2.480; RWIGS  =    1.312    wigner-seitz radius (au A)
   ENMAX  =  400.000; ENMIN  =  300.000 eV
END of PSCTR-controll parameters
 local part
  1.0 2.0 3.0
 End of Dataset
"""


def write_potcars(library: Path) -> Path:
    """Write stand-ins for every POTCAR that the Materials Project uses.

    Parameters
    ----------
    library
        Folder to name as ``PMG_VASP_PSP_DIR``.
    """
    folder = library / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for element, symbol in MPRelaxSet.CONFIG["POTCAR"].items():
        text = _HEADER.format(
            symbol=symbol,
            element=element,
            valence=float(count_valence(element)),
            mass=float(Element(element).atomic_mass),
        )
        (folder / f"POTCAR.{symbol}").write_text(text)
    return library
