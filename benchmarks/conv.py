"""Single convolutions against the machine's measured peak and against ONNX Runtime.

    python benchmarks/conv.py [--threads 1 2] [--layers resnet50|mobilenet|all] [--seconds 0.5] [--json]

Each layer is a model of its own. ``share`` is the part of the fp32 peak that its kernels reach (padding and
convolution, from the profile of the run; the peak is measured just before and after, with as many cores busy). It can
pass 100 %: operations are those of the direct sum, of which 3 x 3 kernels need less than half. ``ratio`` is the latency
of the whole model, layout changes included, over ONNX Runtime's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import sardonyx
from sardonyx.measure import fp32_peak, take_turns

KERNELS = ("conv", "conv_pad", "depthwise", "winograd_input", "winograd")


@dataclass(frozen=True)
class Layer:
    """A square convolution: input channels and size, kernel, stride, output channels, groups."""

    channels: int
    size: int
    kernel: int
    stride: int
    results: int
    groups: int = 1

    @property
    def out_size(self) -> int:
        return (self.size + 2 * (self.kernel // 2) - self.kernel) // self.stride + 1

    @property
    def work(self) -> float:
        """Floating-point operations of one image."""
        return 2.0 * self.out_size**2 * self.results * self.channels // self.groups * self.kernel**2

    def model(self) -> bytes:
        """The layer as a model with seeded random weights."""
        random = np.random.default_rng(0)
        weights = random.standard_normal((self.results, self.channels // self.groups, self.kernel, self.kernel))
        bias = random.standard_normal(self.results)
        pads, strides = [self.kernel // 2] * 4, [self.stride] * 2
        node = helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=pads, strides=strides, group=self.groups)
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, self.channels, self.size, self.size])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, self.results, self.out_size, self.out_size])
        constants = [numpy_helper.from_array(a.astype(np.float32), n) for a, n in ((weights, "w"), (bias, "b"))]
        graph = helper.make_graph([node], "layer", [x], [y], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model)
        return model.SerializeToString()


def resnet50() -> Iterator[Layer]:
    """The shapes of ResNet-50 at 224 x 224, each once."""
    yield Layer(3, 224, 7, 2, 64)
    size, channels = 56, 64
    for width in (64, 128, 256, 512):
        stride = 1 if width == 64 else 2
        yield Layer(channels, size, 1, 1, width)
        yield Layer(channels, size, 1, stride, 4 * width)
        if stride == 2:
            yield Layer(width, size, 3, 2, width)
            size //= 2
        yield Layer(width, size, 3, 1, width)
        yield Layer(width, size, 1, 1, 4 * width)
        yield Layer(4 * width, size, 1, 1, width)
        channels = 4 * width


def mobilenet() -> Iterator[Layer]:
    """The depthwise shapes of MobileNet V2 at 224 x 224, and a few wider kernels."""
    shapes = [(32, 112, 1), (96, 112, 2), (144, 56, 1), (144, 56, 2), (192, 28, 1), (192, 28, 2), (384, 14, 1)]
    for channels, size, stride in [*shapes, (576, 14, 1), (576, 14, 2), (960, 7, 1)]:
        yield Layer(channels, size, 3, stride, channels, channels)
    yield Layer(240, 28, 5, 1, 240, 240)
    yield Layer(384, 14, 7, 1, 384, 384)


@dataclass
class Result:
    """One layer on so many threads; times in microseconds, rates in GFLOP/s."""

    layer: str
    threads: int
    kernel_us: float
    gflops: float
    share: float
    model_us: float
    onnxruntime_us: float
    ratio: float
    error: float


def session(model: bytes, threads: int, profile: str = "") -> Any:
    """Our session, profiled into files that begin with ``profile``."""
    options = sardonyx.SessionOptions()
    options.intra_op_num_threads = threads
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    return sardonyx.InferenceSession(model, options)


def kernel_seconds(model: bytes, feeds: dict[str, Any], threads: int, runs: int = 50) -> float:
    """The median time of the layer's kernels in one run."""
    with tempfile.TemporaryDirectory() as folder:
        profiled = session(model, threads, str(Path(folder) / "profile"))
        for _ in range(runs):
            profiled.run(None, feeds)
        trace = json.loads(Path(profiled.end_profiling()).read_text())
    events = trace if isinstance(trace, list) else trace["traceEvents"]
    times: dict[str, list[float]] = defaultdict(list)
    for event in events:
        kernel = event.get("args", {}).get("kernel")
        if kernel in KERNELS:
            times[kernel].append(event["dur"])
    return sum(statistics.median(durations) * len(durations) / runs for durations in times.values()) * 1e-6


def measure(layer: Layer, threads: int, seconds: float) -> Result:
    """One layer, both engines in turns."""
    import onnxruntime

    model = layer.model()
    x = np.random.default_rng(1).standard_normal((1, layer.channels, layer.size, layer.size)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    theirs = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    ours, feeds = session(model, threads), {"x": x}
    got, want = ours.run(None, feeds)[0], theirs.run(None, feeds)[0]
    peak = fp32_peak(threads)
    kernel = kernel_seconds(model, feeds, threads)
    peak = max(peak, fp32_peak(threads))
    engines = {"ours": lambda: ours.run(None, feeds), "theirs": lambda: theirs.run(None, feeds)}
    timings = take_turns(engines, rounds=3, seconds=seconds / 3)
    name = f"{layer.channels}x{layer.size} k{layer.kernel} s{layer.stride} > {layer.results}"
    return Result(
        name + (f" / {layer.groups}" if layer.groups > 1 else ""),
        threads,
        round(kernel * 1e6, 1),
        round(layer.work / kernel / 1e9, 1),
        round(layer.work / kernel / peak, 3),
        round(timings["ours"].median * 1e6, 1),
        round(timings["theirs"].median * 1e6, 1),
        round(timings["ours"].ratio(timings["theirs"]), 2),
        float(np.abs(got - want).max() / (1e-6 + np.abs(want).max())),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--layers", choices=("resnet50", "mobilenet", "all"), default="all")
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    families = {
        "resnet50": [*dict.fromkeys(resnet50())],
        "mobilenet": [*mobilenet()],
        "all": [*dict.fromkeys(resnet50()), *mobilenet()],
    }
    results = []
    for threads in given.threads:
        for layer in families[given.layers]:
            result = measure(layer, threads, given.seconds)
            results.append(result)
            if not given.json:
                print(
                    f"{result.layer:26} {threads} threads {result.kernel_us:8.1f} us {result.gflops:6.1f} GFLOP/s "
                    f"{result.share:6.1%} of peak; model {result.model_us:8.1f} us, "
                    f"{result.ratio:5.2f} x onnxruntime; error {result.error:.1e}",
                    flush=True,
                )
    if given.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
