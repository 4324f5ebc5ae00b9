"""The job that reads gap, masses and pockets out of a band structure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobflow import Maker

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import BandsError
from wyckflow.makers._job import wyckflow_job
from wyckflow.schemas.electronic import ElectronicDoc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymatgen.core.structure import Structure
    from pymatgen.electronic_structure.bandstructure import BandStructure

    from wyckflow.electronic.analyse import ElectronicOptions
    from wyckflow.electronic.bands import Bands


@dataclass
class ElectronicMaker(Maker):
    """Read gap, band edges, pockets and effective masses out of a band structure.

    A metal, a run that did not converge, a torn file or a path that is too coarse gives
    a document with the reason instead of numbers.

    Attributes
    ----------
    name
        Name of the job.
    valley_window
        Pockets this near to the edge are counted, in eV.
    fit_window
        Largest energy from the edge that a mass is fitted to, in eV.
    degeneracy
        Bands this near to each other at an edge count as one, in eV.
    temperature
        At which pockets above the edge are weighted, in K.
    symprec
        Tolerance in A at which the symmetry of the cell is found.
    """

    name: str = "electronic structure"
    valley_window: float = 0.1
    fit_window: float = 0.25
    degeneracy: float = 0.01
    temperature: float = 300.0
    symprec: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse options that would fail on the worker."""
        self._options()

    @wyckflow_job(ElectronicDoc)
    def make(
        self,
        bands: BandStructure | dict[str, Any] | str | None,
        gene: WyckoffGene | str | None = None,
        dense: Sequence[BandStructure | dict[str, Any] | str] = (),
        *,
        structure: Structure | dict[str, Any] | None = None,
        n_electrons: float | None = None,
        is_simulated: bool = False,
        vasp_version: str | None = None,
        state: str | None = None,
    ) -> ElectronicDoc:
        """Describe the electrons of a crystal near its gap.

        Parameters
        ----------
        bands
            A band structure of pymatgen, its dictionary, or a path to a vasprun.xml or
            its folder. None, as from a run that left no bands, gives a reason.
        gene
            Of the crystal, if it has one.
        dense
            Runs on dense meshes around pockets of the same cell, in the same forms, for
            full mass tensors.
        structure
            The crystal, in the cell of the bands: what pymatgen stores of bands without
            projections has no atoms, and without them valleys are not multiplied.
        n_electrons
            In the cell, if known: the Fermi level of a run along lines can lie in a
            band although there is a gap. A vasprun.xml knows by itself.
        is_simulated
            Whether a simulator of VASP made the bands. A vasprun.xml knows by itself.
        vasp_version
            As the run says, if known; a simulator says so there as well.
        state
            Of the run, as emmet's document has it; one that was not successful gives a
            reason.
        """
        from dataclasses import replace

        from wyckflow.electronic.analyse import analyse_bands, explain_refusal
        from wyckflow.vasp.audit import is_simulated as says_simulated

        is_simulated = is_simulated or says_simulated(vasp_version)

        known = WyckoffGene.from_text(gene) if isinstance(gene, str) else gene
        identity: dict[str, Any] = {}
        if known is not None:
            identity = {
                "name": known.gene_id,
                "gene": known.to_text(),
                "gene_id": known.gene_id,
            }
        try:
            _check_state(state)
            read = take_bands(bands, structure)
            around = [take_bands(one) for one in dense]
        except BandsError as error:
            return explain_refusal(
                str(error), self._options(), is_simulated=is_simulated, **identity
            )
        if is_simulated:
            read = replace(read, is_simulated=True)
        if n_electrons is not None:
            read = replace(read, n_electrons=n_electrons)
        return analyse_bands(read, self._options(), dense=around, **identity)

    def _options(self) -> ElectronicOptions:
        """Return what decides the numbers."""
        from wyckflow.electronic.analyse import ElectronicOptions

        names = ElectronicOptions.__dataclass_fields__
        return ElectronicOptions(**{name: getattr(self, name) for name in names})


def _check_state(state: Any) -> None:
    """Refuse the bands of a run that did not come to its end."""
    word = str(getattr(state, "value", state))
    if state is not None and word != "successful":
        raise BandsError(f"The run of the bands was {word}: it did not converge.")


def take_bands(
    source: BandStructure | dict[str, Any] | str | None,
    structure: Structure | dict[str, Any] | None = None,
) -> Bands:
    """Return bands from whatever form they came in.

    Parameters
    ----------
    source
        A band structure of pymatgen, its dictionary, or a path.
    structure
        The crystal in the same cell, for bands that came without.

    Raises
    ------
    BandsError
        If it is none of these, or cannot be read.
    """
    from pymatgen.core.structure import Structure
    from pymatgen.electronic_structure.bandstructure import (
        BandStructure,
        BandStructureSymmLine,
    )

    from wyckflow.electronic.bands import Bands
    from wyckflow.electronic.vasprun import load_bands

    if isinstance(source, str | Path):
        return load_bands(Path(source))
    if isinstance(source, dict):
        kind = BandStructureSymmLine if source.get("branches") else BandStructure
        keys = sorted(map(str, source))[:4]
        try:
            source = kind.from_dict(source)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise BandsError(
                f"A dictionary of {keys} is no band structure "
                f"of pymatgen ({type(error).__name__}: {error})."
            ) from error
    if isinstance(source, BandStructure):
        if isinstance(structure, dict):
            structure = Structure.from_dict(structure)
        return Bands.from_pymatgen(source, structure=structure)
    raise BandsError(
        f"{type(source).__name__} came instead of a band structure; give one of "
        "pymatgen, or the path of a vasprun.xml."
    )
