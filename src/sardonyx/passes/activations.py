"""Activations that exporters write out, as the one operator they are.

Gelu       0.5 * x * (1 + Erf(x / sqrt(2)))           in any order of the factors
Gelu tanh  0.5 * x * (1 + Tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3)))
Swish      x * Sigmoid(x)                             (SiLU)
HardSwish  x * HardSigmoid(x, 1/6, 0.5)
"""

from __future__ import annotations

import math

import onnx_ir as ir

from sardonyx.ops.inference import node_attributes
from sardonyx.passes.rewriting import Rewriter, is_op

__all__ = ["fuse_activations"]


def fuse_activations(rewriter: Rewriter) -> None:
    """Replaces the patterns; the pieces that nobody else reads fall to dead-code removal."""
    for node in list(rewriter.graph):
        if not is_op(node, "Mul"):
            continue
        found = _gate(node) or _gelu(rewriter, node)
        if found is None:
            continue
        source, op_type, attributes = found
        fused = rewriter.node(op_type, [source], node, attributes=attributes, name=node.name or op_type)
        rewriter.replace(node.outputs[0], fused.outputs[0])
        rewriter.remove(node)


Found = tuple[ir.Value, str, dict[str, object]]


def _gate(node: ir.Node) -> Found | None:
    """x * Sigmoid(x) and x * HardSigmoid(x)."""
    for source, gate in ((node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])):
        producer = gate.producer() if gate is not None else None
        if source is None or producer is None or not producer.inputs or producer.inputs[0] is not source:
            continue
        if is_op(producer, "Sigmoid"):
            return source, "Swish", {}
        if is_op(producer, "HardSigmoid"):
            attributes = node_attributes(producer)
            slope, offset = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
            if math.isclose(slope, 1 / 6, rel_tol=1e-6) and offset == 0.5:
                return source, "HardSwish", {}
    return None


def _gelu(rewriter: Rewriter, node: ir.Node) -> Found | None:
    """A product whose factors are x, 1/2 and 1 + Erf(...) or 1 + Tanh(...)."""
    factors, number = _factors(rewriter, node)
    if len(factors) != 2 or not math.isclose(number, 0.5, rel_tol=1e-6):
        return None
    for source, gate in (factors, factors[::-1]):
        adder = gate.producer()
        if adder is None or not is_op(adder, "Add"):
            continue
        inner = _beside(rewriter, adder, 1.0)
        function = inner.producer() if inner is not None else None
        if function is None or function.inputs[0] is None:
            continue
        if is_op(function, "Erf") and _is_scaled(rewriter, function.inputs[0], source, math.sqrt(0.5)):
            return source, "Gelu", {"approximate": "none"}
        if is_op(function, "Tanh") and _is_tanh_argument(rewriter, function.inputs[0], source):
            return source, "Gelu", {"approximate": "tanh"}
    return None


def _factors(rewriter: Rewriter, node: ir.Node) -> tuple[list[ir.Value], float]:
    """The factors of nested products that nobody else reads, and the product of the constants among them."""
    values: list[ir.Value] = []
    number = 1.0
    waiting = [value for value in node.inputs if value is not None]
    while waiting:
        value = waiting.pop()
        scalar = rewriter.scalar(value)
        producer = value.producer()
        if scalar is not None:
            number *= scalar
        elif producer is not None and is_op(producer, "Mul") and rewriter.sole_reader(value) is not None:
            waiting += [v for v in producer.inputs if v is not None]
        elif (
            producer is not None
            and is_op(producer, "Div")
            and rewriter.scalar(producer.inputs[1])
            and producer.inputs[0] is not None
        ):
            number /= rewriter.scalar(producer.inputs[1]) or 1.0
            waiting.append(producer.inputs[0])
        else:
            values.append(value)
    return values, number


def _beside(rewriter: Rewriter, node: ir.Node, number: float) -> ir.Value | None:
    """The operand of a node whose other operand is a known constant."""
    for place in (0, 1):
        scalar = rewriter.scalar(node.inputs[place])
        if scalar is not None and math.isclose(scalar, number, rel_tol=1e-6):
            return node.inputs[1 - place]
    return None


def _is_scaled(rewriter: Rewriter, value: ir.Value, source: ir.Value, factor: float) -> bool:
    node = value.producer()
    if node is None or not is_op(node, "Mul", "Div"):
        return False
    factors, number = _factors(rewriter, node) if is_op(node, "Mul") else _quotient(rewriter, node)
    return len(factors) == 1 and factors[0] is source and math.isclose(number, factor, rel_tol=1e-5)


def _quotient(rewriter: Rewriter, node: ir.Node) -> tuple[list[ir.Value], float]:
    divisor = rewriter.scalar(node.inputs[1])
    if divisor is None or divisor == 0 or node.inputs[0] is None:
        return [], 0.0
    return [node.inputs[0]], 1.0 / divisor


def _is_tanh_argument(rewriter: Rewriter, value: ir.Value, source: ir.Value) -> bool:
    """sqrt(2 / pi) * (x + 0.044715 * x ** 3)"""
    node = value.producer()
    if node is None or not is_op(node, "Mul"):
        return False
    factors, number = _factors(rewriter, node)
    if len(factors) != 1 or not math.isclose(number, math.sqrt(2 / math.pi), rel_tol=1e-4):
        return False
    adder = factors[0].producer()
    if adder is None or not is_op(adder, "Add"):
        return False
    for own, cubic in ((adder.inputs[0], adder.inputs[1]), (adder.inputs[1], adder.inputs[0])):
        product = cubic.producer() if cubic is not None else None
        if own is source and product is not None and is_op(product, "Mul"):
            parts, coefficient = _factors(rewriter, product)
            if math.isclose(coefficient, 0.044715, rel_tol=1e-4) and _is_cube(rewriter, parts, source):
                return True
    return False


def _is_cube(rewriter: Rewriter, factors: list[ir.Value], source: ir.Value) -> bool:
    if len(factors) == 3:
        return all(factor is source for factor in factors)
    node = factors[0].producer() if len(factors) == 1 else None
    return (
        is_op(node, "Pow") and node is not None and node.inputs[0] is source and rewriter.scalar(node.inputs[1]) == 3.0
    )
