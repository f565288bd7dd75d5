"""Control flow: loops and branches as ``with`` blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from llvmlite import ir

from sardonyx.lang.base import BuilderBase
from sardonyx.lang.types import I64
from sardonyx.lang.value import Operand, Value

__all__ = ["Control"]


class Control(BuilderBase):
    """Loops and branches. Bodies may use ``Var`` to carry values from one iteration to the next."""

    @contextmanager
    def loop(self, stop: Operand, start: Operand = 0, step: Operand = 1, *, unroll: bool = False) -> Iterator[Value]:
        """``for (i64 i = start; i < stop; i += step)``; gives i. ``step`` must be positive.

        LLVM may unroll the loop only when ``unroll`` is set: kernels unroll by Python loops where it pays.
        """
        first, last, increment = self.coerce(start, I64), self.coerce(stop, I64), self.coerce(step, I64)
        body = self.function.append_basic_block("loop")
        done = self.function.append_basic_block("done")
        before = self.ir.block
        self.ir.cbranch((first < last).ir, body, done)
        self.ir.position_at_end(body)
        index = self.ir.phi(I64.llvm, name="i")
        index.add_incoming(first.ir, before)
        counter = self.value(index, I64)
        yield counter
        following = self.value(self.ir.add(index, increment.ir, flags=("nsw",)), I64)
        index.add_incoming(following.ir, self.ir.block)
        branch = self.ir.cbranch((following < last).ir, body, done)
        if not unroll:
            branch.set_metadata("llvm.loop", self._no_unroll())
        self.ir.position_at_end(done)

    def _no_unroll(self) -> object:
        disable = self.module.add_metadata([ir.MetaDataString(self.module, "llvm.loop.unroll.disable")])
        return self.module.add_metadata([disable])

    def vector_loop(self, count: Operand, lanes: int, body: Callable[[Value, Value | None], None]) -> None:
        """``body(i, None)`` for each full vector of ``lanes`` elements, then ``body(i, mask)`` for the tail."""
        if lanes == 1:
            with self.loop(count) as i:
                body(i, None)
            return
        if isinstance(count, int):
            full = count - count % lanes
            if full == lanes:
                body(self.i64(0), None)
            elif full:
                with self.loop(full, 0, lanes) as i:
                    body(i, None)
            if count % lanes:
                body(self.i64(full), self._self.tail_mask(count - full, lanes))
            return
        total = self.coerce(count, I64)
        end = total - (total % lanes)
        with self.loop(end, 0, lanes) as i:
            body(i, None)
        with self.if_(end < total):
            body(end, self._self.tail_mask(total - end, lanes))

    def if_(self, condition: Value, *, likely: bool | None = None) -> AbstractContextManager[object]:
        """``with b.if_(condition): ...``"""
        manager: AbstractContextManager[object] = self.ir.if_then(condition.ir, likely=likely)
        return manager

    def if_else(
        self, condition: Value
    ) -> AbstractContextManager[tuple[AbstractContextManager[object], AbstractContextManager[object]]]:
        """``with b.if_else(condition) as (then, otherwise):`` and in it ``with then: ...``, ``with otherwise: ...``"""
        manager: AbstractContextManager[tuple[AbstractContextManager[object], AbstractContextManager[object]]]
        manager = self.ir.if_else(condition.ir)
        return manager

    @contextmanager
    def while_(self, condition: Callable[[], Value]) -> Iterator[None]:
        """Repeats the body as long as ``condition()``, built in the loop's header, holds."""
        header = self.function.append_basic_block("while")
        body = self.function.append_basic_block("body")
        done = self.function.append_basic_block("done")
        self.ir.branch(header)
        self.ir.position_at_end(header)
        self.ir.cbranch(condition().ir, body, done)
        self.ir.position_at_end(body)
        yield
        self.ir.branch(header)
        self.ir.position_at_end(done)

    def return_(self, value: Operand | None = None) -> None:
        if value is None:
            self.ir.ret_void()
        else:
            self.ir.ret(self.coerce(value, I64).ir)

    def return_if(self, condition: Value, status: int) -> None:
        """Leaves the function with an i64 status when the condition holds; for failed checks."""
        with self.if_(condition, likely=False):
            self.ir.ret(self.i64(status).ir)
