"""P6: charge neutrality of 2,000 compositions, against SMACT, with the same answers.

Ours starts, like SMACT, from one mapping of symbols to counts per composition; SMACT
gets its pymatgen compositions ready made. The compositions are those of MP-20 and
MPTS-52 where ``WYCKFLOW_DATA`` names a folder with the files, each formula once, and
random ones otherwise.
"""

from __future__ import annotations

import csv
import gzip
import os
import random
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _bench import Record, make_record

from wyckflow.crystal.composition import Compositions
from wyckflow.crystal.elements import SYMBOLS
from wyckflow.screening.neutrality import NeutralityRule, OxidationStates, are_neutral

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 0
N_COMPOSITIONS = 2000
MEASURED_SECONDS = 1.0

Formula = dict[str, int]

RULES = {
    "default": NeutralityRule(),
    **{
        states.value: NeutralityRule(oxidation_states=states)
        for states in OxidationStates
        if states is not OxidationStates.ICSD24_CONSENSUS
    },
    "any order": NeutralityRule(requires_electronegativity_order=False),
    "no alloys": NeutralityRule(accepts_alloys=False),
    "main states": NeutralityRule(commonality="main"),
}


def measure(quick: bool) -> list[Record]:
    """Print one line per rule, and return the record of the default one."""
    from pymatgen.core.composition import Composition
    from smact.screening import smact_validity

    source, formulas = load_formulas(300 if quick else N_COMPOSITIONS)
    theirs = [Composition(formula) for formula in formulas]
    print(f"{len(formulas)} compositions: {source}")
    records = []
    for name, rule in RULES.items():
        options = smact_options(rule)
        ours, found = clock(
            lambda rule=rule: are_neutral(Compositions.from_mappings(formulas), rule)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SMACT warns on each call with 'wiki'
            smact_validity(theirs[0], **options)
            start = time.process_time()
            expected = [smact_validity(item, **options) for item in theirs]
            peer = time.process_time() - start
        n_different = sum(a != b for a, b in zip(found.tolist(), expected, strict=True))
        each = 1e6 / len(formulas)
        print(
            f"  {name}: {ours * each:.1f} us, SMACT {peer * each:.0f} us "
            f"({peer / ours:.0f}x), {sum(expected)} neutral, {n_different} differ"
        )
        if n_different:
            raise SystemExit(f"P6: {n_different} answers of {name!r} are not SMACT's")
        if name == "default":
            records.append(
                make_record(
                    "P6",
                    ours * each,
                    "us/composition",
                    ("smact_validity", peer * each),
                    n=len(formulas),
                    seed=SEED,
                    packages=("numpy", "smact"),
                )
            )
    return records


def smact_options(rule: NeutralityRule) -> dict[str, Any]:
    """Return the same question as arguments of SMACT."""
    from smact.screening import ICSD24FilterConfig

    is_default = rule.oxidation_states is OxidationStates.ICSD24_CONSENSUS
    return {
        "use_pauling_test": rule.requires_electronegativity_order,
        "include_alloys": rule.accepts_alloys,
        "oxidation_states_set": None if is_default else rule.oxidation_states.value,
        "icsd_filter": ICSD24FilterConfig(commonality=rule.commonality),
    }


def clock(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the median CPU seconds of some runs, and what the work returned."""
    result = work()
    seconds: list[float] = []
    while sum(seconds) < MEASURED_SECONDS:
        start = time.process_time()
        work()
        seconds.append(max(time.process_time() - start, 1e-6))
    return sorted(seconds)[len(seconds) // 2], result


def load_formulas(n_formulas: int) -> tuple[str, list[Formula]]:
    """Return the name of the source, and different compositions."""
    from pymatgen.core.composition import Composition

    rng = random.Random(SEED)  # noqa: S311 - a fixed sample, no secret
    folder = os.environ.get("WYCKFLOW_DATA")
    if not folder:
        return "random", [draw_formula(rng) for _ in range(n_formulas)]
    formulas = set()
    with gzip.open(Path(folder) / "mp20_biternary_train.csv.gz", "rt") as stream:
        formulas |= {row["pretty_formula"] for row in csv.DictReader(stream)}
    with gzip.open(Path(folder) / "mpts52_train.csv.gz", "rt") as stream:
        for row in csv.DictReader(stream):
            words = row["cif"].partition("_chemical_formula_sum")[2].split("\n")[0]
            formulas.add(Composition(words.strip(" '\"")).reduced_formula)
    chosen = rng.sample(sorted(formulas), n_formulas)
    return "MP-20 and MPTS-52", [
        {symbol: int(n) for symbol, n in Composition(formula).as_dict().items()}
        for formula in chosen
    ]


def draw_formula(rng: random.Random) -> Formula:
    """Make a composition of one to six elements."""
    elements = rng.sample(SYMBOLS[:94], rng.randint(1, 6))
    return {symbol: rng.choice((1, 1, 2, 2, 3, 4, 6, 8)) for symbol in elements}
