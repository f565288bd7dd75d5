"""Looking into a compiled model: steps, passes, kernels, LLVM IR, assembly, buffers, and where its time goes.

inspection = Inspection("model.onnx")
inspection.steps                 # what runs natively, what in Python and why
inspection.passes                # the graph before and after each pass
inspection.kernels[0].llvm_ir    # .assembly for machine code
inspection.work(feeds)           # floating-point operations of a run
profile(session.program, feeds)  # seconds per kernel call
compare(Candidate.load("a.onnx"), Candidate.load("b.onnx"), feeds)  # the first node whose results differ
"""

from sardonyx.inspection.candidates import Candidate
from sardonyx.inspection.comparison import Comparison, FirstDifference, compare
from sardonyx.inspection.compiled import Inspection
from sardonyx.inspection.differences import Difference, Tolerance
from sardonyx.inspection.records import BufferRecord, KernelRecord, KernelTime, PassRecord, StepRecord
from sardonyx.inspection.timing import profile

__all__ = [
    "BufferRecord",
    "Candidate",
    "Comparison",
    "Difference",
    "FirstDifference",
    "Inspection",
    "KernelRecord",
    "KernelTime",
    "PassRecord",
    "StepRecord",
    "Tolerance",
    "compare",
    "profile",
]
