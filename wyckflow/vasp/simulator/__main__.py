"""Start the simulator: ``python -m wyckflow.vasp.simulator --help``."""

from wyckflow.vasp.simulator.run import main

if __name__ == "__main__":
    raise SystemExit(main())
