"""Everything that would stop VASP on this machine, found before a job is queued.

Each library would report only the first problem, on the worker, hours later.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from wyckflow.schemas.dft import StepCost
from wyckflow.vasp.audit import is_simulated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymatgen.core.structure import Structure
    from pymatgen.io.vasp.inputs import Kpoints, PotcarSingle
    from pymatgen.io.vasp.sets import VaspInputSet

_RYDBERG_EV: Final = 13.605693
_BOHR: Final = 0.529177
_BYTES_PER_COEFFICIENT: Final = 16
_EMPTY_BANDS: Final = 1.2
_GIGA: Final = 1e9
_SIMULATORS: Final = ("wyckflow.vasp.simulator", "wyckflow-vasp-simulator")
_EXECUTABLE: Final = re.compile("vasp", re.IGNORECASE)


@dataclass
class Findings:
    """What was found, in words.

    Attributes
    ----------
    problems
        What would stop a run, with the remedy.
    warnings
        What would not, but may surprise.
    potcars
        The POTCARs needed; None where one is missing.
    """

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    potcars: dict[str, PotcarSingle | None] = field(default_factory=dict)

    @property
    def has_stand_ins(self) -> bool:
        """Whether a POTCAR is not VASP's."""
        titles = [item.TITEL for item in self.potcars.values() if item is not None]
        return is_simulated(None, titles)


def check_machine(
    structures: Sequence[Structure],
    input_sets: Mapping[str, VaspInputSet],
    *,
    command: str | None,
    folder: Path | None = None,
    min_free_gb: float = 5.0,
) -> Findings:
    """Look for everything that would stop VASP, and list it all.

    Parameters
    ----------
    structures
        What is to be computed.
    input_sets
        Input-set generators by step.
    command
        Command that runs VASP; not looked for if None, as on a machine that only
        submits.
    folder
        Where jobs run; not looked at if None.
    min_free_gb
        Space that must be free there, in GB.
    """
    found = Findings()
    if command is not None:
        found.problems += check_command(command)
    found.problems += check_hidden_settings()
    if folder is not None:
        found.problems += check_folder(folder, min_free_gb)
    for structure in structures:
        for input_set in input_sets.values():
            _check_potcars(structure, input_set, found)
    if found.has_stand_ins:
        found.warnings.append(
            "POTCARs here are stand-ins without physics: every result will be marked "
            "as simulated and judged by nothing."
        )
    return found


def check_command(command: str) -> list[str]:
    """Return what is wrong with the command that runs VASP.

    Parameters
    ----------
    command
        As the setting ``vasp_command`` has it.
    """
    where = f"(in {command!r}, the setting vasp_command)"
    try:
        words = shlex.split(os.path.expandvars(command))
    except ValueError as error:
        return [f"the command that runs VASP cannot be read: {error} {where}"]
    if not words:
        return ["the setting vasp_command is empty; give it, such as 'srun vasp_std'"]
    programs = [words[0]]
    # Behind a launcher, the word that names VASP; options of it have none.
    programs += [
        word
        for word in words[1:]
        if _EXECUTABLE.search(Path(word).name)
        and not word.startswith("-")
        and "=" not in word
        and not _is_module(words, word)
    ]
    return [
        f"{program!r} is not an executable on PATH {where}; load VASP's module before "
        "the worker starts, or give its whole path"
        for program in dict.fromkeys(programs)
        if shutil.which(program) is None and not _is_script(words, program)
    ]


def is_simulator(command: str | None) -> bool:
    """Return whether a command runs our stand-in for VASP.

    Parameters
    ----------
    command
        As the setting ``vasp_command`` has it.
    """
    return command is not None and any(name in command for name in _SIMULATORS)


def check_hidden_settings() -> list[str]:
    """Return settings of atomate2 on this machine that would change the inputs."""
    from atomate2 import SETTINGS

    hidden = dict(SETTINGS.VASP_INCAR_UPDATES)
    if not hidden:
        return []
    problem = (
        f"VASP_INCAR_UPDATES={hidden} in ~/.atomate2.yaml or the environment asks for "
        "other INCARs than the published ones; remove it (a campaign states its own "
        "changes as fields of its makers)"
    )
    return [problem]


def check_folder(folder: Path, min_free_gb: float) -> list[str]:
    """Return why VASP could not work in a folder.

    Parameters
    ----------
    folder
        Where jobs run.
    min_free_gb
        Space that must be free, in GB.
    """
    if not folder.is_dir():
        return [f"the folder {folder} for running jobs does not exist; make it"]
    if not os.access(folder, os.W_OK | os.X_OK):
        return [f"the folder {folder} for running jobs cannot be written to"]
    free = shutil.disk_usage(folder).free / _GIGA
    if free < min_free_gb:
        problem = (
            f"{free:.1f} GB are free in {folder}, and {min_free_gb:g} are asked for; "
            "delete old runs, or start the worker elsewhere"
        )
        return [problem]
    return []


def estimate_costs(
    structure: Structure,
    input_sets: Mapping[str, VaspInputSet],
    potcars: Mapping[str, PotcarSingle | None],
) -> list[StepCost]:
    """Return how large each step is, by its own inputs.

    Parameters
    ----------
    structure
        Primitive cell.
    input_sets
        Input-set generators by step.
    potcars
        By symbol, as `Findings.potcars`.
    """
    return [
        _estimate(step, structure, write_inputs(structure, input_set), potcars)
        for step, input_set in input_sets.items()
    ]


def write_inputs(structure: Structure, input_set: VaspInputSet) -> dict[str, Any]:
    """Return the inputs of a step by file name, with POTCAR.spec for POTCAR.

    Parameters
    ----------
    structure
        Of the step.
    input_set
        Its generator.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of POTCARs and spins; the audit looks at them
        made: dict[str, Any] = input_set.get_input_set(structure, potcar_spec=True)
    return made


def _is_script(words: Sequence[str], word: str) -> bool:
    """Whether a word is a file that the first word, such as ``python``, reads."""
    return word != words[0] and Path(word).is_file()


def _is_module(words: Sequence[str], word: str) -> bool:
    """Whether a word is what ``python -m`` runs."""
    place = words.index(word)
    return place > 0 and words[place - 1] == "-m"


def _check_potcars(
    structure: Structure, input_set: VaspInputSet, found: Findings
) -> None:
    """Look for the POTCARs of a structure, each once."""
    from pymatgen.io.vasp.inputs import PmgVaspPspDirError, PotcarSingle

    functional = input_set.user_potcar_functional or "PBE"
    for symbol in write_inputs(structure, input_set)["POTCAR.spec"].split():
        if symbol in found.potcars:
            continue
        found.potcars[symbol] = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a title that pymatgen does not know
                found.potcars[symbol] = PotcarSingle.from_symbol_and_functional(
                    symbol, functional
                )
        except PmgVaspPspDirError:
            _add_once(
                found.problems,
                "no library of POTCARs is known: 'pmg config -p POTPAW_PBE FOLDER' "
                "makes one of VASP's files, and PMG_VASP_PSP_DIR in "
                "~/.config/.pmgrc.yaml names it",
            )
        except (OSError, ValueError) as error:
            found.problems.append(
                f"the POTCAR {symbol!r} of {functional} is not in the library: "
                f"{str(error).splitlines()[0]}"
            )


def _add_once(texts: list[str], text: str) -> None:
    if text not in texts:
        texts.append(text)


def _estimate(
    step: str,
    structure: Structure,
    inputs: Mapping[str, Any],
    potcars: Mapping[str, PotcarSingle | None],
) -> StepCost:
    """Return how large one step is."""
    symbols = inputs["POTCAR.spec"].split()
    used = [item for item in map(potcars.get, symbols) if item is not None]
    is_known = len(used) == len(symbols)
    cutoff = inputs["INCAR"].get("ENCUT")
    if cutoff is None and is_known:
        cutoff = max(float(item.ENMAX) for item in used)
    n_waves = None if cutoff is None else count_plane_waves(structure, float(cutoff))
    mesh, n_kpoints = _count_kpoints(structure, inputs["KPOINTS"])
    memory = None
    if is_known and n_waves is not None:
        electrons = {item.element: float(item.ZVAL) for item in used}
        n_electrons = sum(electrons[site.specie.symbol] for site in structure)
        n_bands = math.ceil(_EMPTY_BANDS * n_electrons / 2 + len(structure) / 2)
        n_spins = inputs["INCAR"].get("ISPIN", 1)
        size = n_kpoints * n_bands * n_waves * n_spins * _BYTES_PER_COEFFICIENT
        memory = size / _GIGA
    return StepCost(
        step=step,
        n_kpoints=n_kpoints,
        mesh=mesh,
        n_plane_waves=n_waves,
        wave_function_gb=memory,
    )


def count_plane_waves(structure: Structure, cutoff: float) -> int:
    """Return about how many plane waves a cell has below a cut-off.

    Parameters
    ----------
    structure
        Cell.
    cutoff
        In eV.
    """
    volume = structure.volume / _BOHR**3
    wave_vector = math.sqrt(cutoff / _RYDBERG_EV)
    return max(1, round(volume * wave_vector**3 / (6 * math.pi**2)))


def _count_kpoints(
    structure: Structure, kpoints: Kpoints
) -> tuple[list[int] | None, int]:
    """Return the mesh and how many of its points symmetry leaves."""
    from pymatgen.io.vasp.inputs import Kpoints as PymatgenKpoints
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    if kpoints.style == PymatgenKpoints.supported_modes.Line_mode:
        return None, kpoints.num_kpts * len(kpoints.kpts) // 2
    a, b, c = (int(n) for n in kpoints.kpts[0])
    is_shifted = kpoints.style == PymatgenKpoints.supported_modes.Monkhorst
    u, v, w = (int(is_shifted and n % 2 == 0) for n in (a, b, c))
    analyzer = SpacegroupAnalyzer(structure, symprec=1e-3)
    return [a, b, c], len(analyzer.get_ir_reciprocal_mesh((a, b, c), (u, v, w)))
