"""CHGNet as installed: loaded once per process, silently, with a full identity."""

from __future__ import annotations

import hashlib
import io
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from wyckflow.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_WEIGHTS: Final = "0.3.0"
"""Trained on MPtrj: GGA and GGA+U energies with Materials Project corrections."""

KNOWN_WEIGHTS: Final = ("0.2.0", DEFAULT_WEIGHTS, "r2scan")

_ABSENT_FROM_TRAINING: Final = frozenset({84, 85, 86, 87, 88})

SUPPORTED_ATOMIC_NUMBERS: Final = frozenset(range(1, 95)) - _ABSENT_FROM_TRAINING
"""The 89 elements of MPtrj (Deng et al., Nat. Mach. Intell. 2023, 5, 1031): hydrogen
to plutonium without Po, At, Rn, Fr and Ra, for which the network has untrained numbers.
"""


@dataclass(frozen=True)
class Potential:
    """A loaded network and everything needed to say which one it was.

    Attributes
    ----------
    weights
        Name of the weights, such as ``0.3.0``.
    identity
        Package version, name and sha256 of the weights.
    energy_scale
        Tag of its energies, such as ``chgnet-0.3.0``.
    device
        Where it runs, such as ``cpu`` or ``cuda:0``.
    cutoff
        Distance within which atoms see each other, in A.
    model
        The network, its weights frozen.
    """

    weights: str
    identity: str
    energy_scale: str
    device: str
    cutoff: float
    model: Any = field(repr=False)

    def calculator(self) -> Any:
        """Return a fresh ASE calculator of this network (eV, eV/A, eV/A^3)."""
        from chgnet.model.dynamics import CHGNetCalculator

        with redirect_stdout(io.StringIO()):
            return CHGNetCalculator(
                self.model, use_device=self.device, on_isolated_atoms="ignore"
            )


def load_potential(
    weights: str = DEFAULT_WEIGHTS, *, device: str = "auto", threads: int = 1
) -> Potential:
    """Load CHGNet from the installed package; later calls return the same object.

    Parameters
    ----------
    weights
        One of :data:`KNOWN_WEIGHTS`.
    device
        ``cpu``, ``cuda``, ``cuda:N``, or ``auto`` for an accelerator if there is one.
    threads
        Threads of the processor that torch may use, in the whole process.

    Raises
    ------
    ConfigurationError
        If the weights are unknown, or the device is not there.
    """
    check_weights(weights)
    try:
        import torch
        from chgnet.model import CHGNet  # noqa: F401 (only whether it is there)
    except ImportError as error:
        raise ConfigurationError(
            f"Relaxation needs CHGNet and torch, and {error.name} is not installed: "
            "pip install 'wyckflow[ml]'."
        ) from error
    if threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    return _load(weights, resolve_device(device))


def check_weights(weights: str) -> None:
    """Refuse weights that the package does not come with.

    Parameters
    ----------
    weights
        One of :data:`KNOWN_WEIGHTS`.

    Raises
    ------
    ConfigurationError
        If they are unknown.
    """
    if weights not in KNOWN_WEIGHTS:
        raise ConfigurationError(
            f"CHGNet has no weights {weights!r}; choose one of {KNOWN_WEIGHTS}."
        )


def resolve_device(device: str) -> str:
    """Return the device that ``auto`` or ``cuda`` means here.

    Parameters
    ----------
    device
        ``cpu``, ``cuda``, ``cuda:N`` or ``auto``.

    Raises
    ------
    ConfigurationError
        If it is none of these, or not there.
    """
    import torch

    n_accelerators = torch.cuda.device_count()
    if device == "auto":
        return "cuda:0" if n_accelerators else "cpu"
    if device == "cpu":
        return device
    name, _, index = device.partition(":")
    if name != "cuda" or not (index or "0").isdecimal():
        raise ConfigurationError(
            f"{device=} is no device; use 'auto', 'cpu', 'cuda' or 'cuda:N'."
        )
    if int(index or "0") >= n_accelerators:
        raise ConfigurationError(
            f"{device=} is not there: torch sees {n_accelerators} accelerators. Set "
            "WYCKFLOW_DEVICE=auto on this worker, or check its driver and "
            "CUDA_VISIBLE_DEVICES."
        )
    return f"cuda:{index or 0}"


@lru_cache(maxsize=4)
def _load(weights: str, device: str) -> Potential:
    """Load one set of weights onto one device."""
    from chgnet.model import CHGNet

    # The network announces itself on stdout whatever its options say.
    with redirect_stdout(io.StringIO()):
        model = CHGNet.load(model_name=weights, use_device=device, verbose=False)
    model.eval().requires_grad_(requires_grad=False)
    digest = hashlib.sha256(_weights_file(weights).read_bytes()).hexdigest()
    return Potential(
        weights=weights,
        identity=f"chgnet {version('chgnet')}, weights {weights}, sha256 {digest}",
        energy_scale=f"chgnet-{weights}",
        device=device,
        cutoff=float(model.graph_converter.atom_graph_cutoff),
        model=model,
    )


def _weights_file(weights: str) -> Path:
    """Return the one file of these weights in the installed package."""
    folder = files("chgnet").joinpath("pretrained", weights)
    found = [item for item in folder.iterdir() if item.name.endswith(".pth.tar")]
    if len(found) != 1:
        raise ConfigurationError(
            f"Expected one file *.pth.tar in {folder}, found {len(found)}; reinstall "
            "chgnet."
        )
    return found[0]  # type: ignore[return-value]  # packages are installed as files
