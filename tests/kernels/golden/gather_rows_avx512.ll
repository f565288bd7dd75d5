; ModuleID = "map"
target triple = "x86_64-unknown-linux-gnu"
target datalayout = ""

define i64 @"kernel"(ptr noalias %"bufs", ptr noalias %"sizes", i64 %".3", i64 %".4") nounwind
{
entry:
  %".6" = load i64, ptr %"sizes", align 8
  %".7" = add i64 64, 4095
  %".8" = udiv i64 %".7", 4096
  %".9" = icmp slt i64 %".3", %".4"
  %".14" = getelementptr ptr, ptr %"bufs", i64 0
  %".15" = load ptr, ptr %".14", align 8
  %".18" = getelementptr i64, ptr %"sizes", i64 1
  %".19" = load i64, ptr %".18", align 8
  %".28" = getelementptr ptr, ptr %"bufs", i64 1
  %".29" = load ptr, ptr %".28", align 8
  %".34" = getelementptr ptr, ptr %"bufs", i64 2
  %".35" = load ptr, ptr %".34", align 8
  br i1 %".9", label %"loop", label %"done"
loop:
  %"i" = phi  i64 [%".3", %"entry"], [%".43", %"done.1"]
  %".11" = icmp slt i64 0, 64
  br i1 %".11", label %"loop.1", label %"done.1"
done:
  ret i64 0
loop.1:
  %"i.1" = phi  i64 [0, %"loop"], [%".40", %"loop.1.endif"]
  %".13" = add i64 0, %"i.1"
  %".16" = getelementptr i64, ptr %".15", i64 %"i"
  %".17" = load i64, ptr %".16", align 8
  %".20" = icmp slt i64 %".17", 0
  %".21" = add i64 %".17", %".19"
  %".22" = select  i1 %".20", i64 %".21", i64 %".17"
  %".23" = icmp slt i64 %".22", 0
  %".24" = icmp sge i64 %".22", %".19"
  %".25" = or i1 %".23", %".24"
  br i1 %".25", label %"loop.1.if", label %"loop.1.endif", !prof !0
done.1:
  %".43" = add nsw i64 %"i", 1
  %".44" = icmp slt i64 %".43", %".4"
  br i1 %".44", label %"loop", label %"done", !llvm.loop !2
loop.1.if:
  ret i64 1
loop.1.endif:
  %".30" = mul i64 %".22", 64
  %".31" = add i64 %".13", %".30"
  %".32" = getelementptr float, ptr %".29", i64 %".31"
  %".33" = load <8 x float>, ptr %".32", align 4
  %".36" = mul i64 %"i", 64
  %".37" = add i64 %".36", %".13"
  %".38" = getelementptr float, ptr %".35", i64 %".37"
  store <8 x float> %".33", ptr %".38", align 4
  %".40" = add nsw i64 %"i.1", 8
  %".41" = icmp slt i64 %".40", 64
  br i1 %".41", label %"loop.1", label %"done.1", !llvm.loop !2
}

!0 = !{ !"branch_weights", i32 1, i32 99 }
!1 = !{ !"llvm.loop.unroll.disable" }
!2 = !{ !1 }