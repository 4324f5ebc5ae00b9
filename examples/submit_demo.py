"""Submit a short campaign of your own; run it inside a project folder.

In a terminal each, a CPU worker (screening) and a GPU worker (relaxation) take it:
``wyckflow worker start --category cpu`` and ``--category gpu``.
"""

from __future__ import annotations

from wyckflow.flows.demo import DemoFlowMaker
from wyckflow.makers.relax import RelaxMaker
from wyckflow.store.submit import submit

GENES = ["221 Sr:a Ti:b O:c", "225 Mg:a O:b", "216 Ga:a As:c"]

maker = DemoFlowMaker(relax_maker=RelaxMaker(n_trials=2, seed=1), n_shards=1)
ids = submit(maker.make(GENES), campaign="my-first")
print(f"{len(ids)} jobs of {len(GENES)} genes are in the queue")
print("watch them: wyckflow status --campaign my-first --watch")
