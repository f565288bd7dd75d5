"""The passes, in order: the table of contents of what happens to a graph before it is compiled."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sardonyx.graph.model import Model
from sardonyx.graph.nested import graphs_of
from sardonyx.passes.activations import fuse_activations
from sardonyx.passes.affine import fold_affine
from sardonyx.passes.attention import fuse_attention
from sardonyx.passes.cleanup import common_subexpressions, dead_code, identities
from sardonyx.passes.composites import expand_composites
from sardonyx.passes.expansion import expand_functions
from sardonyx.passes.folding import fold_constants, fold_weights
from sardonyx.passes.norms import fuse_norms
from sardonyx.passes.products import unflatten_products
from sardonyx.passes.quantised import fuse_quantised
from sardonyx.passes.rewriting import Rewriter

__all__ = ["PASSES", "Pass", "PassRun", "optimise"]

ALWAYS, BASIC, EXTENDED = 0, 1, 2


@dataclass(frozen=True)
class Pass:
    """One rewrite of a graph: ``level`` is the lowest GraphOptimizationLevel that runs it; ``reason`` says why it
    stands where it does. Graphs inside of nodes come after the graph around them, unless the pass goes through the
    ``whole`` model by itself."""

    name: str
    run: Callable[[Rewriter], None]
    level: int
    reason: str
    whole: bool = False

    def apply(self, rewriter: Rewriter) -> None:
        """Runs the pass on a graph and the graphs inside of it."""
        self.run(rewriter)
        if self.whole:
            return
        for graph in [graph for node in rewriter.graph for graph in graphs_of(node)]:
            nested = rewriter.inside(graph)
            if nested.is_inferred:
                self.apply(nested)
                rewriter.changes += nested.changes


@dataclass(frozen=True)
class PassRun:
    """What one pass did."""

    name: str
    changes: int
    seconds: float


PASSES: tuple[Pass, ...] = (
    Pass(
        "composites",
        expand_composites,
        ALWAYS,
        "first: neither passes nor kernels know operators made of others",
        whole=True,
    ),
    Pass("dead-code", dead_code, BASIC, "before all rewriting, so that no pass works on what nobody uses", whole=True),
    Pass("expand-functions", expand_functions, ALWAYS, "before folding: the bodies are full of constants", whole=True),
    Pass(
        "fold-constants",
        fold_constants,
        BASIC,
        "before patterns are matched: exporters hide constants in arithmetic",
        whole=True,
    ),
    Pass("quantised", fuse_quantised, BASIC, "after folding, which shows scales; before weights become floats"),
    Pass("fold-weights", fold_weights, BASIC, "dequantised weights that no integer product took", whole=True),
    Pass("identities", identities, BASIC, "after folding, which shows operands to be neutral"),
    Pass(
        "common-subexpressions", common_subexpressions, BASIC, "before fusion, which would hide equal parts in kernels"
    ),
    Pass("unflatten-products", unflatten_products, BASIC, "before fusion: what follows then has the product's shape"),
    Pass("fold-affine", fold_affine, BASIC, "before fusion: a scale folded into weights costs nothing at run time"),
    Pass("activations", fuse_activations, EXTENDED, "before norms and attention, whose patterns hold none of them"),
    Pass("norms", fuse_norms, EXTENDED, "one kernel in place of two reductions and their arithmetic"),
    Pass("attention", fuse_attention, EXTENDED, "after folding, which shows scales to be constant"),
    Pass("sweep", dead_code, BASIC, "last: removes what fusion and folding left behind", whole=True),
)


def optimise(
    model: Model,
    *,
    level: int = 99,
    disabled: Collection[str] = (),
    on_progress: Callable[[str, int, int], None] | None = None,
    after: Callable[[Pass, Rewriter], None] | None = None,
) -> list[PassRun]:
    """Runs the passes of a level on a model, in place, and says what each did.

    ``disabled`` names passes to leave out (ValueError for an unknown name); ``after`` is called after each pass, for
    tests and ``inspect``.
    """
    unknown = set(disabled) - {p.name for p in PASSES}
    if unknown:
        raise ValueError(f"no pass is named {sorted(unknown)[0]!r}; there are {', '.join(p.name for p in PASSES)}")
    chosen = [p for p in PASSES if p.level <= level and p.name not in disabled]
    runs: list[PassRun] = []
    for number, one in enumerate(chosen):
        if on_progress is not None:
            on_progress("optimising the graph", number, len(chosen))
        rewriter = Rewriter(model.graph)
        start = time.perf_counter()
        one.apply(rewriter)
        runs.append(PassRun(one.name, rewriter.changes, time.perf_counter() - start))
        if after is not None:
            after(one, rewriter)
    return runs
