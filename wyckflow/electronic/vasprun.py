"""Read bands from the files of a VASP run."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from wyckflow.electronic.bands import Bands, label_points, read_atoms
from wyckflow.errors import BandsError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def find_vasprun(path: Path) -> Path:
    """Return the vasprun.xml that a path means: the file, or that of a folder.

    Parameters
    ----------
    path
        A file or a folder.

    Raises
    ------
    BandsError
        If there is none.
    """
    if path.is_dir():
        for name in ("vasprun.xml", "vasprun.xml.gz"):
            if (path / name).is_file():
                return path / name
        raise BandsError(
            f"{path} has no vasprun.xml or vasprun.xml.gz; name the folder of a "
            "finished VASP run."
        )
    if not path.is_file():
        raise BandsError(f"{path} does not exist; name a vasprun.xml or its folder.")
    return path


def load_bands(path: Path) -> Bands:
    """Read bands from a vasprun.xml, with labels from the KPOINTS beside it.

    Wave vectors of weight zero are those of a path in a run that also has a mesh, as
    with hybrid functionals; then only they are taken. So are those of a ``KPOINTS_OPT``
    where a run had one. A run that is not converged is read, and says so in
    ``problem``.

    Parameters
    ----------
    path
        The file, plain or gzipped, or its folder.

    Raises
    ------
    BandsError
        If the file is missing, torn, or holds no bands.
    """
    from pymatgen.electronic_structure.core import Spin
    from pymatgen.io.vasp.outputs import Vasprun

    file = find_vasprun(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = Vasprun(
                file,
                parse_potcar_file=False,
                parse_dos=True,
                parse_projected_eigen=False,
            )
    except Exception as error:  # a torn file fails the parser in any way
        raise BandsError(
            f"{file} cannot be read ({type(error).__name__}: {error}); the run ended "
            "early or the file is no vasprun.xml, repeat the calculation."
        ) from error
    if not run.eigenvalues:
        raise BandsError(f"{file} holds no band energies; give a finished VASP run.")
    # Bands at the points of a KPOINTS_OPT were calculated for this very purpose.
    extra = getattr(run, "kpoints_opt_props", None)
    is_extra = extra is not None and bool(extra.eigenvalues)
    source: Any = extra if is_extra else run
    beside = "KPOINTS_OPT" if is_extra else "KPOINTS"
    spins = [spin for spin in (Spin.up, Spin.down) if spin in source.eigenvalues]
    energies = np.array([source.eigenvalues[spin][:, :, 0].T for spin in spins])
    kpoints = np.array(source.actual_kpoints, dtype=np.float64)
    weights = np.array(source.actual_kpoints_weights, dtype=np.float64)
    chosen = _choose_points(weights)
    return Bands(
        lattice=np.array(run.final_structure.lattice.matrix),
        kpoints=kpoints[chosen],
        energies=energies[:, :, chosen],
        fermi=_find_fermi(run, energies),
        labels=_read_labels(file, beside, kpoints[chosen]),
        n_electrons=_number(run.parameters.get("NELECT")),
        is_noncollinear=bool(run.parameters.get("LNONCOLLINEAR", False)),
        atoms=read_atoms(run.final_structure),
        is_simulated="simulated" in str(run.vasp_version).lower(),
        problem="" if run.converged_electronic else "the run is not converged",
    )


def _choose_points(weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return which points are the path of a run that has a mesh as well."""
    is_path = weights == 0
    chosen = is_path if is_path.any() and not is_path.all() else weights >= 0
    return np.flatnonzero(chosen)


def _find_fermi(run: Any, energies: NDArray[np.float64]) -> float:
    """Return the Fermi level; without one, the middle of all energies."""
    level = run.efermi
    return float(np.median(energies) if level is None else level)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _read_labels(
    file: Path, written_in: str, kpoints: NDArray[np.float64]
) -> tuple[str, ...]:
    """Return labels from the file of wave vectors beside a run, if it has any."""
    from pymatgen.io.vasp.inputs import Kpoints

    for name in (written_in, f"{written_in}.gz"):
        beside = file.parent / name
        if not beside.is_file():
            continue
        try:
            written = Kpoints.from_file(beside)
        except Exception:  # noqa: BLE001 - labels are a courtesy; the parser raises what it likes
            return ()
        if not written.labels or str(written.coord_type).lower().startswith("c"):
            return ()
        named = [
            (label, place)
            for label, place in zip(written.labels, written.kpts, strict=False)
            if label and label.lower() != "none"
        ]
        return label_points(
            kpoints, [label for label, _ in named], [place for _, place in named]
        )
    return ()
