"""Models as a whole: what is accepted, what is refused and how, and that the graph says what the file says."""

from __future__ import annotations

import random
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from graph.models import assert_same, backend_cases, message, model, read, run_upgraded, single, value, varint
from sardonyx.errors import InvalidModelError, SardonyxError, UnsupportedOpError
from sardonyx.graph import is_current, read_model, verify

N = helper.make_node
X = value("x", dtype=1, shape=[2, 3])
Y = value("y", dtype=1, shape=[2, 3])


def chain(*nodes: onnx.NodeProto, **options: object) -> onnx.ModelProto:
    return model(nodes, [X], [Y], **options)  # the options of model()


def changed(proto: onnx.ModelProto, change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    change(proto)
    return proto


def relu() -> onnx.ModelProto:
    return chain(N("Relu", ["x"], ["y"]))


def add(weights: dict[str, np.ndarray] | None = None) -> onnx.ModelProto:
    return chain(N("Add", ["x", "w"], ["y"]), initializers=weights or {"w": np.ones((2, 3), np.float32)})


REFUSED: dict[str, tuple[onnx.ModelProto, type[SardonyxError], str]] = {
    "cycle": (chain(N("Add", ["x", "b"], ["a"]), N("Relu", ["a"], ["b"]), N("Relu", ["b"], ["y"])),
              InvalidModelError, "cycle"),
    "self_loop": (chain(N("Add", ["x", "y"], ["y"])), InvalidModelError, "cycle"),
    "missing_input": (chain(N("Add", ["x", "nope"], ["y"])), InvalidModelError, "'nope'"),
    "duplicate_output": (chain(N("Relu", ["x"], ["y"]), N("Neg", ["x"], ["y"])), InvalidModelError, "defined twice"),
    "same_output_twice": (chain(N("LSTM", ["x", "x", "x"], ["y", "y"], hidden_size=1)),
                          InvalidModelError, "defined twice"),
    "shadows_input": (chain(N("Relu", ["x"], ["x"])), InvalidModelError, "defined twice"),
    "duplicate_input": (model([N("Relu", ["x"], ["y"])], [X, X], [Y]), InvalidModelError, "defined twice"),
    "duplicate_graph_output": (model([N("Relu", ["x"], ["y"])], [X], [Y, Y]), InvalidModelError, "listed twice"),
    "duplicate_initializer": (changed(add(), lambda m: m.graph.initializer.append(m.graph.initializer[0])),
                              InvalidModelError, "defined twice"),
    "unnamed_initializer": (changed(add(), lambda m: m.graph.initializer[0].ClearField("name")),
                            InvalidModelError, "no name"),
    "output_not_produced": (chain(N("Relu", ["x"], ["a"])), InvalidModelError, "'y'"),
    "empty_op": (chain(N("", ["x"], ["y"])), InvalidModelError, "op_type"),
    "unknown_op": (chain(N("FooBar", ["x"], ["y"])), UnsupportedOpError, "FooBar"),
    "op_of_the_future": (chain(N("Gelu", ["x"], ["y"]), opset=19), InvalidModelError, "since opset 20"),
    "op_of_the_past": (chain(N("Affine", ["x"], ["y"]), opset=7), UnsupportedOpError, "Affine"),
    "unknown_domain": (chain(N("Foo", ["x"], ["y"], domain="com.evil"), domains={"com.evil": 1}),
                       UnsupportedOpError, "com.evil"),
    "domain_not_imported": (chain(N("Scaler", ["x"], ["y"], domain="ai.onnx.ml")), InvalidModelError, "import"),
    **{f"opset_{v}": (changed(relu(), lambda m, v=v: setattr(m.opset_import[0], "version", v)), error, "opset")
       for v, error in ((99, UnsupportedOpError), (0, InvalidModelError), (-1, InvalidModelError),
                        (2**63 - 1, UnsupportedOpError))},
    "no_opset": (changed(relu(), lambda m: m.ClearField("opset_import")), InvalidModelError, "opset"),
    "two_opsets": (changed(relu(), lambda m: m.opset_import.add(version=13)), InvalidModelError, "opset 13"),
    **{f"ir_{v}": (changed(relu(), lambda m, v=v: setattr(m, "ir_version", v)), error, "IR version")
       for v, error in ((0, InvalidModelError), (-5, InvalidModelError), (99, UnsupportedOpError))},
    "no_graph": (changed(relu(), lambda m: m.ClearField("graph")), InvalidModelError, "no graph"),
    "input_without_type": (changed(relu(), lambda m: m.graph.input[0].ClearField("type")), InvalidModelError, "type"),
    **{f"element_type_{v}": (changed(relu(), lambda m, v=v: setattr(m.graph.input[0].type.tensor_type, "elem_type", v)),
                             InvalidModelError, "element type") for v in (0, 999, -1)},
    "too_many_inputs": (chain(N("Relu", ["x", "x"], ["y"])), InvalidModelError, "1 inputs, got 2"),
    "too_few_inputs": (chain(N("Add", ["x"], ["y"])), InvalidModelError, "2 inputs, got 1"),
    "no_inputs": (chain(N("Conv", [], ["y"])), InvalidModelError, "2 to 3 inputs, got 0"),
    "empty_required": (chain(N("Where", ["x", "", "x"], ["y"])), InvalidModelError, "required but empty"),
    "empty_variadic": (chain(N("Concat", ["x", "", "x"], ["y"], axis=0)), InvalidModelError, "required but empty"),
    "too_many_outputs": (chain(N("Relu", ["x"], ["y", "z"])), InvalidModelError, "1 outputs, got 2"),
    "attribute_type": (chain(N("Concat", ["x", "x"], ["y"], axis="one")), InvalidModelError, "STRING, expected INT"),
    "attribute_missing": (chain(N("Concat", ["x", "x"], ["y"])), InvalidModelError, "axis"),
    "attribute_unknown": (chain(N("Relu", ["x"], ["y"], bogus=3)), InvalidModelError, "bogus"),
    "attribute_twice": (changed(chain(N("Concat", ["x"], ["y"], axis=0)), lambda m: m.graph.node[0].attribute.append(
        helper.make_attribute("axis", 1))), InvalidModelError, "twice"),
    "attribute_reference": (changed(chain(N("Concat", ["x"], ["y"], axis=0)), lambda m: setattr(
        m.graph.node[0].attribute[0], "ref_attr_name", "k")), InvalidModelError, "function"),
    "output_type_lies": (model([N("Relu", ["x"], ["y"])], [X], [value("y", dtype=7, shape=[2, 3])]),
                         InvalidModelError, r"tensor\(int64\)"),
    "type_not_taken": (model([N("Relu", ["x"], ["y"])], [value("x", dtype=9, shape=[2])], [Y]),
                       InvalidModelError, r"tensor\(bool\)"),
    "types_disagree": (chain(N("Add", ["x", "w"], ["y"]), initializers={"w": np.ones(3)}), InvalidModelError, "double"),
    "default_of_another_type": (changed(add({"x": np.ones(3)}), lambda m: None), InvalidModelError, "double"),
    "default_of_another_shape": (changed(add({"x": np.ones((3, 3), np.float32)}), lambda m: None),
                                 InvalidModelError, r"\[3, 3\]"),
    "constant_without_value": (chain(N("Constant", [], ["y"])), InvalidModelError, "one attribute"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    proto, error, words = REFUSED[name]
    with pytest.raises(error, match=words):
        read_model(proto)


def test_a_message_says_where(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    body = helper.make_graph([N("Concat", ["x", "x"], ["z"], name="inner")], "b", [], [value("z", dtype=1, shape=None)])
    proto = model([N("If", ["c"], ["y"], name="outer", then_branch=body, else_branch=body)],
                  [value("c", dtype=9, shape=[]), X], [Y])  # fmt: skip
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(InvalidModelError) as caught:
        read_model(path)
    for part in (str(path), "'outer'", "_branch", "'inner'", "Concat", "'axis'"):
        assert part in str(caught.value)


def test_names_that_are_not_text() -> None:
    data = add().SerializeToString()
    for good, bad in (
        (b"\x0a\x01x", b"\x0a\x01\xff"),
        (b"\x22\x03Add", b"\x22\x03Ad\xff"),
        (b"\x12\x01g", b"\x12\x01\xff"),
    ):
        assert good in data
        with pytest.raises(InvalidModelError, match="UTF-8"):
            read_model(data.replace(good, bad))


@pytest.mark.parametrize("name", ["x/../é\n\"'%s%n{}", "\0", "n" * 100_000, "__2"])
def test_strange_names_are_kept(name: str) -> None:
    read_back = read(model([N("Relu", [name], ["y"])], [value(name, dtype=1, shape=[2])], [Y]))
    assert read_back.inputs[0].name == name


def test_accepted_oddities() -> None:
    read(model([], [], []))
    read(model([N("Relu", ["x"], ["y"])], [X], []))
    assert read(model([], [X], [X])).graph.outputs[0].name == "x"
    unsorted = read(chain(N("Neg", ["a"], ["y"]), N("Relu", ["x"], ["a"])))
    assert [node.op_type for node in unsorted.graph] == ["Relu", "Neg"]
    twins = read(chain(N("Relu", ["x"], ["a"], name="n"), N("Neg", ["a"], ["y"], name="n")))
    assert len(twins.graph) == 2
    weights = {"w": np.ones((2, 3), np.float32)}
    constant = read(model([N("Relu", ["x"], ["z"])], [X], [value("w", weights["w"]), value("z", dtype=1, shape=None)],
                          weights))  # fmt: skip
    assert constant.graph.outputs[0].is_initializer()
    assert read(changed(relu(), lambda m: m.ClearField("opset_import") or setattr(m, "ir_version", 2))).opsets == {
        "": 1
    }


def test_declared_inputs_and_outputs() -> None:
    proto = model(
        [N("Identity", ["a"], ["o"])],
        [value("a", dtype=10, shape=["batch", None, 3, -1]), value("b", dtype=8, shape=[]),
         value("c", dtype=11, shape=None)],
        [value("o", dtype=10, shape=["batch", None, 3, 7])],
    )  # fmt: skip
    got = read(proto)
    assert [(v.name, v.type, str(v.dtype), v.shape) for v in got.inputs] == [
        ("a", "tensor(float16)", "float16", ("batch", None, 3, None)),
        ("b", "tensor(string)", "string", ()),
        ("c", "tensor(double)", "float64", None),
    ]
    assert got.outputs[0].shape == ("batch", None, 3, 7)


def test_types_that_are_no_tensors() -> None:
    of_maps = helper.make_sequence_type_proto(helper.make_map_type_proto(7, helper.make_tensor_type_proto(1, None)))
    node = N("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2])
    got = read(model([node], [X], [helper.make_value_info("y", of_maps)], domains={"ai.onnx.ml": 1}))
    assert got.outputs[0].type == "seq(map(int64,tensor(float)))"
    assert got.outputs[0].dtype is None
    optional = helper.make_optional_type_proto(helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, None)))
    info = [helper.make_value_info("x", optional)]
    got = read(model([N("Identity", ["x"], ["y"])], info, [helper.make_value_info("y", optional)]))
    assert got.inputs[0].type == got.outputs[0].type == "optional(seq(tensor(float)))"


def test_metadata() -> None:
    proto = changed(relu(), lambda m: helper.set_model_props(m, {"author": "me"}))
    proto.producer_name, proto.doc_string, proto.model_version = "test", "about", 7
    got = read(proto).metadata
    assert (got.producer_name, got.description, got.version, got.graph_name) == ("test", "about", 7, "g")
    assert got.custom == {"author": "me"}


@pytest.mark.parametrize(("ir_version", "optional"), [(3, ()), (4, ("w",))])
def test_initializers_among_the_inputs(ir_version: int, optional: tuple[str, ...]) -> None:
    """They are defaults that may be overridden, but constants before IR version 4."""
    proto = changed(add(), lambda m: m.graph.input.append(value("w", dtype=1, shape=["n", 3])))
    proto.ir_version = ir_version
    got = read(proto)
    assert [v.name for v in got.inputs] == ["x"]
    assert tuple(v.name for v in got.optional_inputs) == optional
    assert got.graph.initializers["w"].const_value is not None


def test_branches_may_share_names_and_see_outer_values() -> None:
    def branch(op: str) -> onnx.GraphProto:
        return helper.make_graph([N(op, ["x"], ["t"]), N("Add", ["t", "w"], ["y"])], op, [], [Y],
                                 [onnx.numpy_helper.from_array(np.ones(3, np.float32), "w")])  # fmt: skip

    proto = model([N("If", ["c"], ["y"], then_branch=branch("Relu"), else_branch=branch("Neg"))],
                  [value("c", dtype=9, shape=[]), X], [Y])  # fmt: skip
    x = np.array([[-1, 2, 3]], np.float32)
    for condition in (True, False):
        feeds = {"c": np.array(condition), "x": x}
        assert_same(run_upgraded(proto, feeds), [np.maximum(x, 0) + 1 if condition else 1 - x])


def test_a_branch_that_returns_an_outer_value() -> None:
    branch = helper.make_graph([], "b", [], [X])
    read(
        model([N("If", ["c"], ["y"], then_branch=branch, else_branch=branch)], [value("c", dtype=9, shape=[]), X], [Y])
    )


def test_order_follows_what_branches_capture() -> None:
    branch = helper.make_graph([N("Neg", ["late"], ["o"])], "b", [], [value("o", dtype=1, shape=None)])
    proto = model([N("If", ["c"], ["y"], then_branch=branch, else_branch=branch), N("Relu", ["x"], ["late"])],
                  [value("c", dtype=9, shape=[]), X], [Y])  # fmt: skip
    assert [node.op_type for node in read(proto).graph] == ["Relu", "If"]


def test_custom_operators_pass() -> None:
    proto = chain(N("Magic", ["x"], ["y"], domain="my.ops", power=3), domains={"my.ops": 2})
    with pytest.raises(UnsupportedOpError):
        read_model(proto)
    got = read_model(proto, custom_ops=[("my.ops", "Magic")])
    verify(got)
    assert [node.op_type for node in got.graph] == ["Magic"]


def test_what_cannot_be_upgraded_keeps_its_opset() -> None:
    feeds = {"x": np.ones((2, 3, 4), np.float32)}
    (node,) = read(single("GlobalLpPool", feeds, opset=1, p=1.5)).graph
    assert not is_current(node)
    assert (node.version, node.attributes.get_float("p")) == (1, 1.5)


def test_every_model_of_the_backend_suite_is_read_as_onnx_reads_it() -> None:
    """Bit for bit: the graph, written out again and run by the reference, gives what the file gives."""
    for name, proto, _ in (cases := backend_cases()):
        got = read(proto)
        assert all(is_current(node) for node in got.graph.all_nodes()), name
    for name, proto, inputs in random.Random(5).sample(cases, 150):
        if "random" in name or "bernoulli" in name or "image_decoder" in name:
            continue
        evaluator = ReferenceEvaluator(proto)
        feeds = dict(zip(evaluator.input_names, inputs, strict=True))
        try:
            expected = evaluator.run(None, feeds)
        except Exception:  # what the reference cannot run is no test of the reader
            continue
        results = ReferenceEvaluator(ir.to_proto(read_model(proto).ir)).run(None, feeds)
        for got_one, wanted in zip(results, expected, strict=True):
            np.testing.assert_equal(got_one, wanted, err_msg=name)


def test_random_damage_gives_clean_errors() -> None:
    """Flipped, replaced, removed and repeated bytes: a SardonyxError or a sound graph, in bounded memory."""
    rng = random.Random(0)
    seeds = [data for _, proto, _ in backend_cases() if len(data := proto.SerializeToString()) < 5000]
    outcomes = {True: 0, False: 0}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3000):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 1, 2, 5))):
            place = rng.randrange(len(data))
            match rng.randrange(4):
                case 0 | 1:
                    data[place] ^= 1 << rng.randrange(8)
                case 2:
                    del data[place : place + rng.randrange(1, 4)]
                case 3:
                    data[place:place] = data[place : place + rng.randrange(1, 20)]
        try:
            verify(read_model(bytes(data)))
            outcomes[True] += 1
        except SardonyxError:
            outcomes[False] += 1
    assert min(outcomes.values()) > 100
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


def test_a_large_file_stays_on_disk(tmp_path: Path) -> None:
    """Reading 400 MB of weights touches the structure only."""
    path = tmp_path / "large.onnx"
    proto = chain(N("Add", ["x", "w"], ["y"]))
    head = proto.SerializeToString()
    size = 400 << 20
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[size // 4]).SerializeToString()
    raw = b"\x4a" + varint(size)
    body = b"\x2a" + varint(len(tensor) + len(raw) + size) + tensor + raw
    with path.open("wb") as file:  # a second graph field, which protobuf merges; the weights are a hole in the file
        file.write(head + b"\x3a" + varint(len(body) + size) + body)
        file.seek(size - 1, 1)
        file.write(b"\0")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    got = read_model(path)
    assert got.graph.initializers["w"].const_value.nbytes == size
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000


def test_nested_graphs_are_bounded() -> None:
    content = b""
    for _ in range(60):  # too small for the scan to look into, too deep for protobuf's parser
        content = message(1, message(5, message(6, content)))
    with pytest.raises(InvalidModelError):
        read_model(message(7, content))
