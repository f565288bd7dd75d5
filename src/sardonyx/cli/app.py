"""The commands and their options; each command's work is in a module of its own, imported when it is called."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sardonyx.cli.output import errors_as_messages

__all__ = ["app"]


class CacheAction(StrEnum):
    """What to do with the cache."""

    SHOW = "show"
    CLEAR = "clear"


app = typer.Typer(
    name="sardonyx",
    help="Compile ONNX models to native code and run them.\n\n"
    "Start with `sardonyx check MODEL` to see whether a model runs natively, `sardonyx run MODEL --random` to run it, "
    "and `sardonyx bench MODEL --random` to time it. Every command has --json for programs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

Model = Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX file.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Threads = Annotated[int, typer.Option(help="Threads to use; 0 takes what the process may use.", min=0)]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input", "-i", metavar="[NAME=]FILE", help="Input from a .npz, .npy, .json or image file. May be repeated."
    ),
]
Random = Annotated[bool, typer.Option("--random", help="Draw the inputs at random (seeded).")]
Sizes = Annotated[
    list[str] | None,
    typer.Option(
        "--size",
        metavar="NAME=N",
        help="A symbolic size for --random, such as batch=8; one without a name is INPUT:AXIS. Default: 1.",
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of --random.")]
Below = Annotated[int, typer.Option(help="--random draws integers from 0 up to, but not including, this.", min=1)]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse a model with operators that would run in Python.")]
Mean = Annotated[
    str | None,
    typer.Option(
        help="Image mean, per channel: float inputs get (pixel / 255 - mean) / std. Default: as the model says."
    ),
]
Std = Annotated[str | None, typer.Option(help="Image standard deviation, per channel. Default: as the model says.")]


@app.command()
def run(
    model: Model,
    inputs: Inputs = None,
    random: Random = False,
    size: Sizes = None,
    seed: Seed = 0,
    below: Below = 2,
    image_mean: Mean = None,
    image_std: Std = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the outputs to this .npz file.")] = None,
    threads: Threads = 0,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Run a model once and show its outputs.

    Examples: `sardonyx run m.onnx -i x=x.npy`, `sardonyx run m.onnx -i photo.jpg -o out.npz`,
    `sardonyx run m.onnx --random --size batch=8`.
    """
    with errors_as_messages(json):
        from sardonyx.cli import run as command
        from sardonyx.cli.source import FeedSource

        source = FeedSource.of(inputs, random, size, seed, below, image_mean, image_std)
        command.run(model, source, output=output, threads=threads, strict=strict, as_json=json)


@app.command()
def bench(
    model: Model,
    inputs: Inputs = None,
    random: Random = False,
    size: Sizes = None,
    seed: Seed = 0,
    below: Below = 2,
    threads: Annotated[str, typer.Option(help="Thread counts to measure at, comma-separated.")] = "1,2",
    engines: Annotated[
        str, typer.Option(help="Engines to take turns, comma-separated; 'all' takes those that are installed.")
    ] = "all",
    rounds: Annotated[int, typer.Option(help="Rounds of turns.", min=1)] = 5,
    seconds: Annotated[float, typer.Option(help="Seconds per engine and round.", min=0)] = 0.5,
    json: Json = False,
) -> None:
    """Time a model, in turns with ONNX Runtime and OpenVINO where they are installed.

    Shows latency percentiles, throughput, GFLOP/s and its share of this machine's measured peak, the ratio of the
    times, and the largest difference of the outputs.
    """
    with errors_as_messages(json):
        from sardonyx.cli import bench as command
        from sardonyx.cli.source import FeedSource

        source = FeedSource.of(inputs, random, size, seed, below)
        command.bench(model, source, threads=threads, engines=engines, rounds=rounds, seconds=seconds, as_json=json)


@app.command()
def check(model: Model, json: Json = False) -> None:
    """Say what a model is, what is wrong with it, and what runs natively and what does not.

    Exits with 0 if every operator runs natively, 1 if the model cannot be loaded, 3 if some of it runs in Python.
    """
    with errors_as_messages(json):
        from sardonyx.cli import check as command

        command.check(model, as_json=json)


@app.command()
def inspect(
    model: Model,
    passes: Annotated[bool, typer.Option("--passes", help="What each pass did to the graph.")] = False,
    graph: Annotated[
        str | None, typer.Option("--graph", metavar="PASS", help="The graph before and after one pass.")
    ] = None,
    kernels: Annotated[bool, typer.Option("--kernels", help="The compiled kernels.")] = False,
    ir: Annotated[
        str | None, typer.Option("--ir", metavar="KERNEL", help="A kernel's LLVM IR, by name or number of its call.")
    ] = None,
    assembly: Annotated[
        str | None,
        typer.Option("--assembly", metavar="KERNEL", help="A kernel's machine code, by name or number of its call."),
    ] = None,
    buffers: Annotated[bool, typer.Option("--buffers", help="Where values lie in memory, and for how long.")] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Time per kernel, on inputs as for `run`.")] = False,
    inputs: Inputs = None,
    random: Random = False,
    size: Sizes = None,
    threads: Threads = 0,
    json: Json = False,
) -> None:
    """Look into a compiled model: steps, passes, kernels, LLVM IR, assembly, buffers, time per kernel.

    Without options it lists the steps. Examples: `sardonyx inspect m.onnx --passes`,
    `sardonyx inspect m.onnx --graph fold-constants`, `sardonyx inspect m.onnx --profile --random`.
    """
    with errors_as_messages(json):
        from sardonyx.cli import inspect as command
        from sardonyx.cli.source import FeedSource

        wanted = command.Wanted(passes, graph, kernels, ir, assembly, buffers, profile)
        source = FeedSource.of(inputs, random, size) if profile else None
        command.inspect(model, wanted, source, threads=threads, as_json=json)


@app.command()
def compare(
    model: Model,
    other: Annotated[
        Path | None, typer.Argument(metavar="[OTHER]", help="Another model to compare with.", show_default=False)
    ] = None,
    inputs: Inputs = None,
    random: Random = False,
    size: Sizes = None,
    seed: Seed = 0,
    below: Below = 2,
    engine_a: Annotated[str, typer.Option(help="sardonyx, onnxruntime or reference, for the first side.")] = "sardonyx",
    engine_b: Annotated[
        str, typer.Option(help="The same for the second side. Default: another engine, unless the models differ.")
    ] = "",
    disable_pass: Annotated[
        list[str] | None, typer.Option("--disable-pass", metavar="PASS", help="Leave out on the second side.")
    ] = None,
    level: Annotated[int, typer.Option(help="Optimisation level of the second side: 0, 1, 2, 3 or 99.")] = 99,
    exact_convolution: Annotated[
        bool, typer.Option("--exact-convolution", help="No transformed convolutions on the second side.")
    ] = False,
    target: Annotated[str, typer.Option(help="Target of the second side: x86-64, avx2, avx512.")] = "",
    threads: Threads = 0,
    rtol: Annotated[float, typer.Option(help="Relative tolerance of float32.", min=0)] = 1e-3,
    atol: Annotated[float, typer.Option(help="Absolute tolerance of float32.", min=0)] = 1e-4,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Write what reproduces a difference here.")
    ] = None,
    json: Json = False,
) -> None:
    """Compare two models, or one under two engines or sets of passes, and name the first node that differs.

    Exits with 1 when an output differs. Examples: `sardonyx compare m.onnx --random`,
    `sardonyx compare m.onnx --random --disable-pass attention`, `sardonyx compare a.onnx b.onnx -i x.npy -o DIR`.
    """
    with errors_as_messages(json):
        from sardonyx.cli import compare as command
        from sardonyx.cli.source import FeedSource
        from sardonyx.inspection import Tolerance

        command.compare(
            model,
            other,
            FeedSource.of(inputs, random, size, seed, below),
            command.Settings(engine_a, engine_b, tuple(disable_pass or ()), level, exact_convolution, target, threads),
            tolerance=Tolerance(rtol, atol),
            output=output,
            as_json=json,
        )


@app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A trained model: file or folder.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The ONNX file. Default: SOURCE's name, .onnx."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE", help="Data to compare on: .npz, .npy, .json, .csv or .parquet."),
    ] = None,
    example: Annotated[
        list[str] | None,
        typer.Option(
            "--example",
            metavar="[NAME=]SHAPE[:TYPE]",
            help="An input, for sources that do not say what they take: 1x3x224x224, ids=1x128:int64. May be repeated.",
        ),
    ] = None,
    factory: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:NAME", help="A function without arguments that makes the object of a file of weights."
        ),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Open sources that can run code when read: .pkl, .joblib, .pt.")
    ] = False,
    opset: Annotated[int | None, typer.Option(help="Version of ai.onnx to write.", min=1)] = None,
    fixed_batch: Annotated[bool, typer.Option("--fixed-batch", help="Keep the example's batch size.")] = False,
    rows: Annotated[int, typer.Option(help="Rows to draw where no --data is given.", min=2)] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the drawn rows.")] = 0,
    tolerance: Annotated[
        float | None, typer.Option(help="Largest relative difference. Default: 1e-5, 1e-12 for float64.", min=0)
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="An option of the framework's converter. May be repeated."),
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="The certificate as a page.")] = None,
    json: Json = False,
) -> None:
    """Convert a trained model to ONNX, with a certificate that it answers as before.

    Recognises PyTorch, TensorFlow, Keras, scikit-learn, XGBoost, LightGBM, CatBoost, SparkML, JAX, MXNet, Chainer,
    MATLAB's exports and ONNX. Exits with 1 when it cannot, or when the results differ beyond tolerance.

    Examples: `sardonyx convert forest.skops`, `sardonyx convert net.pt2 -o net.onnx --html net.html`,
    `sardonyx convert weights.pt --factory mynet:build --example 1x3x224x224 --trust`.
    """
    with errors_as_messages(json):
        from sardonyx.cli import convert as command

        wishes = command.Wishes(
            data, tuple(example or ()), factory, trust, opset, not fixed_batch, rows, seed, tolerance
        )
        command.convert(source, output, wishes, option or (), html=html, as_json=json)


@app.command()
def cache(
    action: Annotated[CacheAction, typer.Argument(help="`show`, or `clear` to delete every entry.")] = CacheAction.SHOW,
    json: Json = False,
) -> None:
    """Show or clear the cache of compiled code."""
    with errors_as_messages(json):
        from sardonyx.cli import cache as command

        (command.clear if action is CacheAction.CLEAR else command.show)(as_json=json)


@app.command()
def version(json: Json = False) -> None:
    """Show the versions of sardonyx and of what it stands on, and the machine it compiles for."""
    from sardonyx.cli import version as command

    command.version(as_json=json)
