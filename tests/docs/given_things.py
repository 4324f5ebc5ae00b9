"""Files that the reader of a page brings along, made up and small."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
from dataclasses import replace
from itertools import islice, product
from pathlib import Path

import numpy as np
from pymatgen.core import Lattice, Structure

GENES = ["221 Sr:a Ti:b O:c", "225 Na:a Cl:b", "216 Ga:a As:c"]
PLACES = ([0.5] * 3, [0.25] * 3)
CATIONS = ("Li", "Na", "K", "Mg", "Ca", "Rb", "Cs", "Sr", "Ba", "Zn", "Cd", "Al", "Ga")
ANIONS = ("O", "S", "F", "Cl", "Se", "Te", "Br", "I")
N_FEW = 20
PHASES = "formula,id,energy_per_atom\nNa,na,-1.3\nCl,cl,-1.8\nNaCl,salt,-3.6\n"
SHRINK = Path(__file__).with_name("shrink.py")


def make_thing(name, folder, shelf):
    """Put a file or folder of this name into a folder."""
    target = folder / name
    if name not in THINGS:
        raise ValueError(f"no thing is called {name!r}; known: {sorted(THINGS)}")
    if not (made := shelf / name).exists():  # made once for all pages
        made.parent.mkdir(parents=True, exist_ok=True)
        THINGS[name](made)
    target.parent.mkdir(parents=True, exist_ok=True)
    copy = shutil.copytree if made.is_dir() else shutil.copyfile
    copy(made, target)


def make_salts():
    """Salts in rock salt, then in zinc blende, with numbers that follow from them."""
    pairs = list(product(CATIONS, ANIONS))
    few, more = pairs[:N_FEW], pairs[N_FEW:]
    in_places = [*product(PLACES, few), *product(PLACES[:1], more)]
    for number, (place, pair) in enumerate(in_places):
        cell = Lattice.from_parameters(4, 4, 4, 60, 60, 60)
        yield (
            f"salt-{number}",
            Structure(cell, pair, [[0, 0, 0], place]),
            {
                "formation_energy_per_atom": -1.0 - 0.01 * number,
                "band_gap": 1.0 + 0.1 * (number % 40),
                "e_above_hull": 0.001 * number,
                "bulk_modulus": 200.0 if "S" in pair else 50.0 + number,
            },
        )


def write_table(path, *, renamed=None, n_rows=40, with_metals=False):
    """Write salts as CSV, with other names of columns if wished."""
    text = io.StringIO()
    writer = csv.writer(text)
    for row, (name, crystal, values) in enumerate(islice(make_salts(), n_rows)):
        if with_metals and row % 2 == 0:
            values["band_gap"] = 0.0
        if not row:
            columns = [(renamed or {}).get(key, key) for key in values]
            writer.writerow(["material_id", "cif", *columns])
        writer.writerow([name, crystal.to(fmt="cif"), *values.values()])
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_dataset(path, **options):
    from wyckflow.crystal.dataset.importing import import_dataset

    table = path.with_suffix(".csv")
    write_table(table, **options)
    import_dataset([table], path)
    table.unlink()


def write_reference(path):
    """Write the bundled phases of three systems."""
    from wyckflow.thermo.bundled import load_bundled_reference

    whole = load_bundled_reference()
    kept = [number for number in range(len(whole)) if number % 50 == 0]
    replace(whole.take(np.array(kept)), name=path.stem).save(path)


def write_model(path):
    from tiny_model import train_tiny_model

    train_tiny_model().save(path)


def write_cifs(folder):
    folder.mkdir()
    salt = Structure.from_spacegroup(
        225, Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    salt.to(filename=str(folder / "NaCl.cif"))
    Structure(
        Lattice.cubic(4.03),
        ["Ba", "Ti", "O", "O", "O"],
        [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
    ).to(filename=str(folder / "BaTiO3.cif"))


def write_poscar(path):
    cell = Lattice.from_parameters(4, 4, 4, 60, 60, 60)
    salt = Structure(cell, ["Mg", "O"], [[0, 0, 0], [0.5] * 3])
    path.write_text(salt.to(fmt="poscar"))


def write_run(folder, elements, length):
    """Let the simulator of VASP run on a zinc blende crystal, on a coarse mesh."""
    from wyckflow.makers import vasp as makers
    from wyckflow.vasp.path import find_primitive_structure
    from wyckflow.vasp.preflight import write_inputs
    from wyckflow.vasp.simulator.run import simulate

    crystal = Structure.from_spacegroup(
        216, Lattice.cubic(length), elements, [[0, 0, 0], [0.25] * 3]
    )
    primitive = find_primitive_structure(crystal, symprec=1e-3)
    generator = replace(makers.static_maker().input_set_generator, kspacing=0.3)
    folder.mkdir(parents=True)
    for name, content in write_inputs(primitive, generator).items():
        (folder / name).write_text(str(content))
    simulate(folder)


def write_lines(*lines):
    return lambda path: path.write_text("".join(f"{line}\n" for line in lines))


TABLES = ("more.csv.gz", "mp.csv.gz", "mp20.csv.gz", "mp-dump.csv.gz", "huge.csv.gz")
TABLES += ("theirs.csv.gz", "known.csv", "my-crystals.csv", "bulk_modulus.csv")
DATASETS = ("test.npz", "known.npz", "mine.npz")
THINGS = {
    "genes.txt": write_lines(*GENES),
    "wanted.txt": write_lines("225 Mg:a O:b  # periclase"),
    "genes.csv": write_lines("gene", *GENES),
    "phases.csv": write_lines(*PHASES.splitlines()),
    "my-phases.csv": write_lines(*PHASES.splitlines()),
    "my-cifs": write_cifs,
    "extra-cifs": write_cifs,
    "POSCAR": write_poscar,
    "runs/PbTe": lambda folder: write_run(folder, ["Pb", "Te"], 6.5),
    "runs/Si": lambda folder: write_run(folder, ["Si", "Si"], 5.4),
    "mine.csv": lambda path: write_table(path, renamed={"band_gap": "Eg"}),
    "runs/Si-dense": lambda folder: write_run(folder, ["Si", "Si"], 5.4),
    "bulk_modulus_train.csv": write_table,
    "bulk_modulus_val.csv": lambda path: write_table(path, n_rows=12),
    "my-model.npz": write_model,
    "mp20-chgnet.npz": write_reference,
    "shrink.py": lambda path: shutil.copyfile(SHRINK, path),
    **dict.fromkeys(TABLES, write_table),
    **dict.fromkeys(DATASETS, write_dataset),
    "train.npz": lambda path: write_dataset(path, n_rows=12),
    "newer.npz": lambda path: write_dataset(path, n_rows=12),
    "mp20.npz": lambda path: write_dataset(path, with_metals=True, n_rows=120),
    "made.npz": lambda path: write_dataset(path, n_rows=120),
    "wbm.npz": lambda path: write_dataset(path, n_rows=120),
    "mp20-test.npz": lambda path: write_dataset(path, with_metals=True, n_rows=12),
}
