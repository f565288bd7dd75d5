; ModuleID = "map"
target triple = "x86_64-unknown-linux-gnu"
target datalayout = ""

define i64 @"kernel"(ptr noalias %"bufs", ptr noalias %"sizes", i64 %".3", i64 %".4") nounwind
{
entry:
  %".6" = load i64, ptr %"sizes", align 8
  %".7" = add i64 100, 4095
  %".8" = udiv i64 %".7", 4096
  %".9" = icmp slt i64 %".3", %".4"
  %".14" = getelementptr ptr, ptr %"bufs", i64 0
  %".15" = load ptr, ptr %".14", align 8
  %".20" = getelementptr ptr, ptr %"bufs", i64 1
  %".21" = load ptr, ptr %".20", align 8
  %".29" = getelementptr ptr, ptr %"bufs", i64 2
  %".30" = load ptr, ptr %".29", align 8
  br i1 %".9", label %"loop", label %"done"
loop:
  %"i" = phi  i64 [%".3", %"entry"], [%".60", %"done.1"]
  %".11" = icmp slt i64 0, 96
  br i1 %".11", label %"loop.1", label %"done.1"
done:
  ret i64 0
loop.1:
  %"i.1" = phi  i64 [0, %"loop"], [%".35", %"loop.1"]
  %".13" = add i64 0, %"i.1"
  %".16" = mul i64 %"i", 100
  %".17" = add i64 %".16", %".13"
  %".18" = getelementptr float, ptr %".15", i64 %".17"
  %".19" = load <8 x float>, ptr %".18", align 4
  %".22" = getelementptr float, ptr %".21", i64 %".13"
  %".23" = load <8 x float>, ptr %".22", align 4
  %".24" = fadd <8 x float> %".19", %".23"
  %".25" = fcmp ogt <8 x float> %".24", <float              0x0, float              0x0, float              0x0, float              0x0, float              0x0, float              0x0, float              0x0, float              0x0>
  %".26" = select  <8 x i1> %".25", <8 x float> %".24", <8 x float> <float              0x0, float              0x0, float              0x0, float              0x0, float              0x0, float              0x0, float              0x0, float              0x0>
  %".27" = fcmp uno <8 x float> %".24", %".24"
  %".28" = select  <8 x i1> %".27", <8 x float> %".24", <8 x float> %".26"
  %".31" = mul i64 %"i", 100
  %".32" = add i64 %".31", %".13"
  %".33" = getelementptr float, ptr %".30", i64 %".32"
  store <8 x float> %".28", ptr %".33", align 4
  %".35" = add nsw i64 %"i.1", 8
  %".36" = icmp slt i64 %".35", 96
  br i1 %".36", label %"loop.1", label %"done.1", !llvm.loop !1
done.1:
  %".38" = icmp slt i64 4, 8
  %".39" = select  i1 %".38", i64 4, i64 8
  %".40" = trunc i64 %".39" to i32
  %".41" = insertelement <8 x i32> <i32 undef, i32 undef, i32 undef, i32 undef, i32 undef, i32 undef, i32 undef, i32 undef>, i32 %".40", i32 0
  %".42" = shufflevector <8 x i32> %".41", <8 x i32> <i32 undef, i32 undef, i32 undef, i32 undef, i32 undef, i32 undef, i32 undef, i32 undef>, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %".43" = icmp slt <8 x i32> <i32 0, i32 1, i32 2, i32 3, i32 4, i32 5, i32 6, i32 7>, %".42"
  %".44" = add i64 0, 96
  %".45" = mul i64 %"i", 100
  %".46" = add i64 %".45", %".44"
  %".47" = getelementptr float, ptr %".15", i64 %".46"
  %".48" = call <8 x float> @"llvm.masked.load.v8f32.p0"(ptr %".47", i32 4, <8 x i1> %".43", <8 x float> <float 0.0, float 0.0, float 0.0, float 0.0, float 0.0, float 0.0, float 0.0, float 0.0>)
  %".49" = getelementptr float, ptr %".21", i64 %".44"
  %".50" = call <8 x float> @"llvm.masked.load.v8f32.p0"(ptr %".49", i32 4, <8 x i1> %".43", <8 x float> <float 0.0, float 0.0, float 0.0, float 0.0, float 0.0, float 0.0, float 0.0, float 0.0>)
  %".51" = fadd <8 x float> %".48", %".50"
  %".52" = fcmp ogt <8 x float> %".51", <float              0x0, float              0x0, float              0x0, float              0x0, float              0x0, float              0x0, float              0x0, float              0x0>
  %".53" = select  <8 x i1> %".52", <8 x float> %".51", <8 x float> <float              0x0, float              0x0, float              0x0, float              0x0, float              0x0, float              0x0, float              0x0, float              0x0>
  %".54" = fcmp uno <8 x float> %".51", %".51"
  %".55" = select  <8 x i1> %".54", <8 x float> %".51", <8 x float> %".53"
  %".56" = mul i64 %"i", 100
  %".57" = add i64 %".56", %".44"
  %".58" = getelementptr float, ptr %".30", i64 %".57"
  call void @"llvm.masked.store.v8f32.p0"(<8 x float> %".55", ptr %".58", i32 4, <8 x i1> %".43")
  %".60" = add nsw i64 %"i", 1
  %".61" = icmp slt i64 %".60", %".4"
  br i1 %".61", label %"loop", label %"done", !llvm.loop !1
}

declare <8 x float> @"llvm.masked.load.v8f32.p0"(ptr %".1", i32 %".2", <8 x i1> %".3", <8 x float> %".4")

declare void @"llvm.masked.store.v8f32.p0"(<8 x float> %".1", ptr %".2", i32 %".3", <8 x i1> %".4")

!0 = !{ !"llvm.loop.unroll.disable" }
!1 = !{ !0 }