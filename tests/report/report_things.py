"""A made-up campaign with everything that a report can show, without a database."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from pymatgen.core import Lattice, Structure

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.electronic.analyse import analyse_bands
from wyckflow.electronic.bands import Bands, read_atoms
from wyckflow.relax.phonon.options import PhononOptions
from wyckflow.schemas.campaign import CampaignDoc
from wyckflow.schemas.candidate import CandidateDoc, StageOutcome, StageVerdict
from wyckflow.schemas.phonon import (
    LatticeStability,
    PhononDoc,
    PhononSettings,
    Spectrum,
)
from wyckflow.schemas.relaxation import Outcome, RelaxationDoc
from wyckflow.schemas.report import (
    Analogue,
    BudgetLine,
    ElectronicEvidence,
    Evidence,
    GeneSet,
    HullDistanceSet,
    LatentPoints,
    PhononEvidence,
    PlacedGenes,
    ReportData,
)
from wyckflow.schemas.screening import FunnelStep, ReasonCount, Verdict
from wyckflow.schemas.stability import DecompositionProduct, ReferenceCompleteness

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SALTS = ("Na:a Cl:b", "K:a Br:b", "Mg:a O:b", "Li:a F:b", "Ca:a S:b", "Pb:a Te:b")
PREDICTED = {"predicted_formation_energy_per_atom": None}
SETTINGS = PhononSettings(
    **{name: getattr(PhononOptions(), name) for name in PhononSettings.model_fields}
)


HALF = 0.5
SITES = [(0, 0, 0), (0, HALF, HALF), (HALF, 0, HALF), (HALF, HALF, 0)]


def make_structure(gene, edge=5.6):
    """A rock salt by hand."""
    first, second = (site.element for site in gene.sites)
    places = [*SITES, *((x + HALF, y + HALF, z + HALF) for x, y, z in SITES)]
    return Structure(Lattice.cubic(edge), [first] * 4 + [second] * 4, places)


def make_candidate(place, text=None, *, is_relaxed=True, **changes):
    gene = WyckoffGene.from_text(f"225 {text or SALTS[place % len(SALTS)]}")
    number = 0.01 * place
    fields = {
        "campaign": "salts",
        "gene_id": gene.gene_id if place < len(SALTS) else f"{place:016x}",
        "gene": gene.to_text(),
        "formula_pretty": gene.formula,
        "chemsys": gene.chemsys,
        "elements": sorted(gene.composition),
        "n_elements": 2,
        "nsites": gene.n_sites,
        "space_group_number": 225,
        "crystal_system": gene.crystal_system,
        "round": 0,
        "model_id": "abc" * 10,
        "predicted_formation_energy_per_atom": -2.0 + number,
        "predicted_band_gap": 4.0 - 3 * number,
        "verdicts": [
            StageVerdict(
                stage="gene screen",
                filter=None if is_relaxed else "charge_neutrality",
                verdict=Verdict.PASS if is_relaxed else Verdict.FAIL,
                reason="" if is_relaxed else "no allowed charges add up to zero",
            )
        ],
        "verdict": Verdict.PASS if is_relaxed else Verdict.FAIL,
        "updated_at": NOW,
        "job_uuids": ["11111111-2222-3333-4444-555555555555"],
    }
    if is_relaxed:
        is_near = number <= 0.03
        fields |= {
            "energy_per_atom": -3.5,
            "energy_scale": "chgnet-0.3.0",
            "hull_scale": "chgnet-0.3.0",
            "hull_version": "0123456789abcdef",
            "is_symmetry_kept": True,
            "volume_per_atom": 22.0,
            "lattice_stability": "unstable" if place == 1 else "stable",
            "min_phonon_frequency_thz": -2.5 if place == 1 else 0.0,
            "formation_energy_per_atom": -1.9 + 1.2 * number,
            "energy_above_hull": number,
            "probability_within_50_mev": max(0.0, 0.9 - 10 * number),
            "decomposition": [
                DecompositionProduct(formula_pretty="Na2O", entry_id="x", fraction=1.0)
            ],
            "hull_completeness": ReferenceCompleteness(
                n_entries=5,
                n_entries_by_size=[2, 3],
                n_subsystems=3,
                n_empty_subsystems=1,
            ),
            "structure": make_structure(gene).as_dict(),
            "outcomes": [StageOutcome(stage="chgnet relax", outcome="converged")],
        }
        fields["verdicts"].append(
            StageVerdict(
                stage="hull distance",
                verdict=Verdict.PASS if is_near else Verdict.FAIL,
                value=number,
                threshold=0.03,
                reason="" if is_near else "too far",
            )
        )
        fields["verdict"] = fields["verdicts"][-1].verdict
    return CandidateDoc.model_validate(fields | changes)


def make_spectrum(lowest, n=60, n_modes=6):
    k = np.linspace(0, 1, n)
    rise = np.abs(np.sin(np.pi * np.concatenate([k, k])))[:, None]
    bands = lowest + (np.arange(1, n_modes + 1) - lowest) * rise
    return Spectrum(
        distances=np.concatenate([k, 1 + k]),
        q_points=np.zeros((2 * n, 3)),
        bands=bands,
        segment_starts=np.array([0, n]),
        labels=np.array([("GAMMA", "X"), ("X", "L")]),
        dos_frequencies=np.linspace(lowest, n_modes, 50),
        dos=np.ones(50),
    )


def make_phonons(name, lowest):
    verdict = LatticeStability.UNSTABLE if lowest < -1 else LatticeStability.STABLE
    document = PhononDoc(
        name=name,
        formula_pretty="NaCl",
        verdict=verdict,
        min_frequency_thz=lowest,
        max_frequency_thz=6.0,
        n_atoms_supercell=64,
        n_displacements=2,
        cpu_s=12.5,
    )
    return PhononEvidence(document, SETTINGS, make_spectrum(lowest))


def make_electrons():
    """Two parabolic bands at the centre of a cube: masses 1.0 and 0.5."""
    structure = Structure(Lattice.cubic(5.6), ["Na"], [[0, 0, 0]])
    line = np.linspace(0, 0.5, 40)
    kpoints = np.concatenate(
        [
            np.outer(line[::-1], (1, 0, 0)),
            np.outer(line, (1, 1, 0)),
            np.outer(line[::-1], (1, 1, 1)),
        ]
    )
    k = np.linalg.norm(kpoints * 2 * np.pi / 5.6, axis=1)
    levels = np.array([[-3.81 * k**2 / 1.0, 1.2 + 3.81 * k**2 / 0.5]])
    labels = [""] * len(kpoints)
    for place, name in (
        (0, "X"),
        (39, "Γ"),
        (40, "Γ"),
        (79, "M"),
        (80, "R"),
        (119, "Γ"),
    ):
        labels[place] = name
    bands = Bands(
        structure.lattice.matrix,
        kpoints,
        levels,
        0.1,
        tuple(labels),
        n_electrons=2.0,
        atoms=read_atoms(structure),
    )
    return ElectronicEvidence(analyse_bands(bands), bands)


def make_evidence(candidate, place):
    relaxation = RelaxationDoc(
        gene=candidate.gene,
        gene_id=candidate.gene_id,
        formula_pretty=candidate.formula_pretty,
        outcome=Outcome.CONVERGED,
        space_group_number_before=225,
        n_evaluations_of_gene=40,
    )
    analogue = Analogue(
        "known-1", "minerals", "NaCl", "225 Na:a Cl:b", is_same_group=True, n_shared=1
    )
    other = Analogue(
        "known-2", "minerals", "NaCl", "221 Na:a Cl:b", is_same_group=False, n_shared=0
    )
    bare = Analogue(
        "mp-3",
        "minerals",
        "NaCl3",
        "",
        is_same_group=False,
        n_shared=0,
        energy_above_hull=0.123,
    )
    return Evidence(
        deviations={"formation_energy_per_atom": 0.1, "band_gap": 0.4},
        relaxation=relaxation,
        n_trials=3,
        relaxation_cpu_s=1.5 + place,
        phonons=make_phonons(candidate.gene_id, -2.5 if place == 1 else 0.0),
        electrons=make_electrons() if place == 0 else None,
        novelty=place % 4,
        analogues=(analogue, other, bare) if place < 2 else (),
    )


def make_sets():
    rng = np.random.default_rng(0)

    def one(label, n, centre):
        return GeneSet(
            label,
            n,
            {
                "formation_energy_per_atom": rng.normal(-1.5, 0.5, n),
                "band_gap": rng.normal(centre, 0.7, n),
            },
            rng.choice([1, 14, 62, 139, 166, 194, 225], n),
            {"O": n // 2, "Na": n // 3, "Cl": n // 5},
        )

    return one("learned from", 900, 2.0), one("for the target", 300, 1.2)


def make_data(n_relaxed=6, n_dropped=2, *, has_figures=True, **changes):
    relaxed = [make_candidate(place) for place in range(n_relaxed)]
    dropped = [
        make_candidate(1000 + place, "Na:a O:b", is_relaxed=False)
        for place in range(n_dropped)
    ]
    candidates = [*relaxed, *dropped]
    sets = make_sets()
    rng = np.random.default_rng(1)
    request = CampaignDoc.model_validate(
        {
            "name": "salts",
            "spec": {
                "name": "salts",
                "target": {"properties": {"band_gap": {"min": 0.5, "max": 2.0}}},
            },
            "rounds": [
                {
                    "number": 0,
                    "n_genes": 300,
                    "model_id": "abc" * 10,
                    "model_name": "bundled",
                    "submitted_at": NOW,
                }
            ],
        }
    )
    step = FunnelStep(
        filter="charge_neutrality",
        rule="some allowed charges add up to zero",
        n_in=len(candidates),
        n_pass=n_relaxed,
        n_fail=n_dropped,
        n_cannot_judge=0,
        reasons=[ReasonCount(reason="no allowed <charges>", n_genes=n_dropped)],
    )
    fields = {
        "campaign": "salts",
        "made_at": NOW,
        "wyckflow_version": "0.1.0",
        "request": request,
        "budget": (
            BudgetLine("relaxations", n_relaxed, 100),
            BudgetLine("cpu hours", 0.25, None),
        ),
        "funnel": (step,),
        "candidates": tuple(candidates),
        "n_candidates": len(candidates) + 10,
        "evidence": {
            item.gene_id: make_evidence(item, place)
            for place, item in enumerate(relaxed)
        },
        "gene_sets": sets,
        "latent": LatentPoints(
            "bundled",
            rng.normal(size=(900, 8)),
            sets[0].properties,
            sets[0].space_groups,
            (
                PlacedGenes("proposed", rng.normal(size=(40, 8)), 300),
                PlacedGenes("accepted", rng.normal(size=(6, 8)), 6),
                PlacedGenes("best", rng.normal(size=(2, 8)), 2),
            ),
        ),
        "hull_distances": (
            HullDistanceSet(
                "learned from", "DFT", "mp2020-gga-u", np.array([0.0, 0.05, 0.2]), 3
            ),
            HullDistanceSet(
                "for the target", "predicted", "mp2020-gga-u", rng.normal(size=50), 300
            ),
        ),
        "known_name": "minerals",
        "analogues_from": "From minerals, 12 crystals.",
    }
    if not has_figures:  # drawing them takes most of the time
        bare = [item.model_copy(update=PREDICTED) for item in candidates]
        fields |= {
            "gene_sets": (),
            "hull_distances": (),
            "latent": None,
            "candidates": tuple(bare),
        }
    return ReportData(**(fields | changes))
