"""A gene: a space group and the elements on its Wyckoff positions, without coordinates.

The text of a gene is ``221 Ca:a Ti:b O:c``: the space group, then each element with
the letters of its orbits. Letters are separated by commas and a number behind a letter
repeats it: ``14 Ti:a O:e2`` has two orbits of oxygen on position ``e``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from wyckflow.crystal._notation import FORM, read_label, read_text, write_text
from wyckflow.crystal.elements import FORMULA_RANKS, SYMBOLS, reduced_formula
from wyckflow.crystal.tables import WYCKOFF_LETTERS, load_space_group
from wyckflow.errors import GeneError, nearest_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

    from wyckflow.crystal.tables import CrystalSystem, SpaceGroup, WyckoffPosition


@dataclass(frozen=True, slots=True, order=True)
class WyckoffSite:
    """One occupied orbit.

    Attributes
    ----------
    element
        Chemical symbol.
    letter
        Wyckoff letter.
    """

    element: str
    letter: str


@dataclass(frozen=True, slots=True)
class WyckoffGene:
    """Space group and occupied Wyckoff positions of a crystal.

    Two genes are equal if they are written alike; whether they describe the same
    arrangement is asked of :attr:`gene_id` or `wyckflow.crystal.equivalence`.

    Attributes
    ----------
    space_group_number
        1 to 230; letters are those of the ITA standard setting.
    sites
        The occupied orbits, in the order of a formula (cations first), then by letter.

    Raises
    ------
    GeneError
        If the gene has no site, an unknown element, or an atom where one already is.
    UnknownWyckoffLetterError
        If the space group has no such letter.
    """

    space_group_number: int
    sites: tuple[WyckoffSite, ...]

    def __post_init__(self) -> None:
        """Sort the sites and refuse what cannot exist."""
        group = load_space_group(self.space_group_number)
        sites = tuple(sorted(self.sites, key=_order_of_site))
        if not sites:
            raise GeneError(
                f"A gene of space group {group.number} came without a site; give at "
                f"least one element with a letter. {FORM}"
            )
        _check_letters(group, sites)
        object.__setattr__(self, "space_group_number", group.number)
        object.__setattr__(self, "sites", sites)

    # --- other forms ------------------------------------------------------------

    @classmethod
    def from_pairs(
        cls, space_group_number: int, pairs: Iterable[tuple[str, str]]
    ) -> Self:
        """Make a gene of (element, letter) pairs in any order."""
        sites = tuple(WyckoffSite(element, letter) for element, letter in pairs)
        return cls(space_group_number, sites)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read a gene as a person types it.

        Order and white space are free, an element may come twice, commas between
        single letters may be left out, and a letter may carry its multiplicity, which
        is then checked: ``221 O:c Ca:a Ti:b`` and ``221 Ca:1a Ti:1b O:3c`` are the
        same gene.

        Parameters
        ----------
        text
            Such as ``221 Ca:a Ti:b O:c``.

        Raises
        ------
        GeneError
            If the text cannot be read, or is that of no possible gene.
        """
        return cls.from_pairs(*read_text(text))

    @classmethod
    def from_published(
        cls, space_group_number: int, labels: Mapping[str, Iterable[str]]
    ) -> Self:
        """Read the form of papers: ``{"Ca": ["1b"], "O": ["3d"]}``.

        Parameters
        ----------
        space_group_number
            1 to 230.
        labels
            Wyckoff labels of each element, with or without multiplicity.

        Raises
        ------
        GeneError
            If a multiplicity is not that of its letter.
        """
        group = load_space_group(space_group_number)
        pairs = [
            (element, read_label(group, label))
            for element, of_element in labels.items()
            for label in of_element
        ]
        return cls.from_pairs(space_group_number, pairs)

    @classmethod
    def from_pyxtal(
        cls,
        space_group_number: int,
        species: Sequence[str],
        num_ions: Sequence[int],
        sites: Sequence[Iterable[str]],
    ) -> Self:
        """Make a gene of the arguments of ``pyxtal.from_random``.

        Parameters
        ----------
        space_group_number
            1 to 230.
        species
            Chemical symbols.
        num_ions
            Atoms of each species in the conventional cell.
        sites
            Wyckoff labels of each species, such as ``[["4a"], ["4b"]]``.

        Raises
        ------
        GeneError
            If the labels do not add up to the numbers of atoms.
        """
        if not len(species) == len(num_ions) == len(sites):
            raise GeneError(
                f"pyxtal arguments differ in length: {len(species)} species, "
                f"{len(num_ions)} numbers of ions, {len(sites)} lists of sites. Give "
                "one of each per species."
            )
        labels: dict[str, list[str]] = {}
        expected: Counter[str] = Counter()
        for element, n_ions, of_element in zip(species, num_ions, sites, strict=True):
            labels.setdefault(element, []).extend(of_element)
            expected[element] += int(n_ions)
        gene = cls.from_published(space_group_number, labels)
        if gene.composition != expected:
            raise GeneError(
                f"The sites of {gene} hold {gene.composition} atoms, but num_ions says "
                f"{dict(expected)}. Give the counts of the conventional cell."
            )
        return gene

    @classmethod
    def from_dict(cls, dct: Mapping[str, Any]) -> Self:
        """Read the form of :meth:`as_dict`."""
        try:
            number, sites = dct["space_group_number"], dct["sites"]
            pairs = [(site["element"], site["letter"]) for site in sites]
        except (KeyError, TypeError) as error:
            raise GeneError(
                f"Cannot read a gene from {dict(dct)!r}; expected 'space_group_number' "
                "and 'sites', a list of records with 'element' and 'letter'."
            ) from error
        return cls.from_pairs(number, pairs)

    def to_text(self) -> str:
        """Write the gene on one line, such as ``221 Ca:a Ti:b O:c``."""
        pairs = ((site.element, site.letter) for site in self.sites)
        return write_text(self.space_group_number, pairs)

    def to_pyxtal(self) -> tuple[int, list[str], list[int], list[list[str]]]:
        """Return the arguments of ``pyxtal.from_random``.

        Returns
        -------
        tuple
            ``group``, ``species``, ``numIons`` and ``sites`` of the conventional cell.
        """
        labels: dict[str, list[str]] = {element: [] for element in self.composition}
        for site, position in zip(self.sites, self.positions, strict=True):
            labels[site.element].append(position.label)
        composition = self.composition
        return (
            self.space_group_number,
            list(composition),
            list(composition.values()),
            list(labels.values()),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain data that jobflow and monty can turn back into a gene."""
        return {
            "@module": type(self).__module__,
            "@class": type(self).__name__,
            "space_group_number": self.space_group_number,
            "sites": [
                {"element": site.element, "letter": site.letter} for site in self.sites
            ],
        }

    def __str__(self) -> str:
        """Return the text of the gene."""
        return self.to_text()

    # --- what it says -----------------------------------------------------------

    @property
    def space_group(self) -> SpaceGroup:
        """The tables of the space group."""
        return load_space_group(self.space_group_number)

    @property
    def crystal_system(self) -> CrystalSystem:
        """The crystal system of the space group."""
        return self.space_group.crystal_system

    @property
    def positions(self) -> tuple[WyckoffPosition, ...]:
        """The Wyckoff position of every site."""
        group = self.space_group
        return tuple(group.position(site.letter) for site in self.sites)

    @property
    def multiplicities(self) -> tuple[int, ...]:
        """Atoms of every site in the conventional cell."""
        return tuple(position.multiplicity for position in self.positions)

    @property
    def n_orbits(self) -> int:
        """Number of occupied orbits."""
        return len(self.sites)

    @property
    def n_sites(self) -> int:
        """Atoms in the conventional cell."""
        return sum(self.multiplicities)

    @property
    def composition(self) -> dict[str, int]:
        """Atoms of each element in the conventional cell, cations first."""
        counts: dict[str, int] = {}
        for site, multiplicity in zip(self.sites, self.multiplicities, strict=True):
            counts[site.element] = counts.get(site.element, 0) + multiplicity
        return counts

    @property
    def formula(self) -> str:
        """Reduced formula, cations first, such as ``Ca3(PO4)2``."""
        return reduced_formula(self.composition)

    @property
    def elements(self) -> tuple[str, ...]:
        """The elements, cations first."""
        return tuple(dict.fromkeys(site.element for site in self.sites))

    @property
    def chemsys(self) -> str:
        """The elements in alphabetical order, such as ``Ca-O-Ti``."""
        return "-".join(sorted(self.elements))

    @property
    def positional_degrees_of_freedom(self) -> int:
        """Free coordinates of all sites."""
        return sum(position.degrees_of_freedom for position in self.positions)

    @property
    def lattice_degrees_of_freedom(self) -> int:
        """Free lattice parameters."""
        return self.space_group.lattice_degrees_of_freedom

    @property
    def degrees_of_freedom(self) -> int:
        """Free coordinates and free lattice parameters."""
        return self.positional_degrees_of_freedom + self.lattice_degrees_of_freedom

    @property
    def site_symmetries(self) -> tuple[str, ...]:
        """Oriented site-symmetry symbol of every site."""
        return tuple(position.site_symmetry for position in self.positions)

    @property
    def enumerations(self) -> tuple[int, ...]:
        """Index of every site's position among those with its site symmetry."""
        return tuple(position.enumeration for position in self.positions)

    @property
    def tokens(self) -> tuple[tuple[str, str, int], ...]:
        """Element, site symmetry and enumeration of every site."""
        return tuple(
            (site.element, position.site_symmetry, position.enumeration)
            for site, position in zip(self.sites, self.positions, strict=True)
        )

    @property
    def gene_id(self) -> str:
        """Name of the arrangement: 16 hexadecimal digits, alike for equivalent genes.

        Equivalent means up to a change of origin, axes or handedness: the affine
        normalizer, with enantiomorphic space groups folded.
        """
        from wyckflow.crystal.keys import gene_ids

        return gene_ids([self])[0]

    # --- pydantic ---------------------------------------------------------------

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source_type: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Let a pydantic field hold a gene, read from text or dict, dumped as text."""
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            cls._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                cls.to_text, return_schema=core_schema.str_schema()
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe the text form, which is what a dumped document holds."""
        return {"type": "string", "examples": ["221 Ca:a Ti:b O:c"]}

    @classmethod
    def _validate(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.from_text(value)
        if isinstance(value, dict):
            return cls.from_dict(value)
        raise GeneError(
            f"A {type(value).__name__} came where a gene was expected; give a "
            f"WyckoffGene, its text or its dict. {FORM}"
        )


def _order_of_site(site: WyckoffSite) -> tuple[int, int]:
    try:
        return FORMULA_RANKS[site.element], WYCKOFF_LETTERS.find(site.letter)
    except KeyError:
        hint = nearest_name(str(site.element), SYMBOLS)
        raise GeneError(
            f"{site.element!r} is no chemical symbol; expected one such as 'Ti'.{hint}"
        ) from None


def _check_letters(group: SpaceGroup, sites: Iterable[WyckoffSite]) -> None:
    """Refuse letters that do not exist, and a second atom on a fixed point."""
    occupants: dict[str, str] = {}
    for site in sites:
        position = group.position(site.letter)
        if position.degrees_of_freedom:
            continue
        if site.letter in occupants:
            raise GeneError(
                f"Position {position.label} of space group {group.number} has no free "
                f"coordinate and room for one element, but {occupants[site.letter]} "
                f"and {site.element} came; move one to another letter."
            )
        occupants[site.letter] = site.element
