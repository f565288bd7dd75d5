"""Checked code (SARDONYX_CHECK=1): a stray access is an error that names kernel and node, and there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from ops.cases import Case
from sardonyx import dtypes
from sardonyx.compiler import build, compile_model
from sardonyx.errors import ExecutionError
from sardonyx.kernels.compact import TrueCoordinates
from sardonyx.lang import KernelBuilder
from sardonyx.lang.host import host_target
from sardonyx.runtime.pool import team

SLICE = (
    "test_(?!.*_expanded)"
    "(gather_0|gather_elements_0|scatter_elements_with_axis|scatternd$|slice$|constant_pad$|top_k$|unique_sorted_w"
    "|nonzero|compress_1|nonmaxsuppression_two_b|basic_conv_with_padding|conv_with_strides_padding|convtranspose$"
    "|maxpool_2d_pads|averagepool_2d_pads|softmax_axis_1|layer_normalization_2d_axis1$|matmul_3d|gemm_all_attributes"
    "|reduce_sum_keepdims_random|resize_upsample_scales_linear$|transpose_all_permutations_3|lstm_defaults|einsum_batch"
    "|attention_3d$|roialign_mode_max|gridsample_bicubic$|cumsum_2d_axis_0|reversesequence_batch|quantizelinear$"
    "|ai_onnx_ml_tree_ensemble_single_tree|ai_onnx_ml_array_feature|tfidfvectorizer_tf_uniandbigrams|argmax_keepdims_ran"
    "|instancenorm_epsilon|lrn$|rms_normalization_3d_axis1_epsilon$|gru_seq_length|rnn_seq_length|causal_conv_with_state_fp"
    "|linear_attention_gated_delta_gqa$|rotary_embedding_3d_input$|tensorscatter_circular|stft$|dft_axis$|det_nd|col2im_d"
    "|deform_conv_with_mask|maxunpool_export_without|lppool_2d_pads|affine_grid_2d$|center_crop_pad_crop_and_pad$|qlinearconv"
    "|matmulinteger|dequantizelinear_blocked|dynamicquantizelinear$|onehot_with_axis|nllloss_NCd1d2_with_weight$|eyelike_p"
    "|concat_3d_axis_1|split_variable_parts_2d_opset18|loop11|scan9_sum|triu$|tile$|range_float_type_p|max_float16)"
)


def test_a_slice_of_the_conformance_suite_stays_inside() -> None:
    command = [sys.executable, "-m", "conformance", "--jobs", "1", "--kinds", "node", "-k", SLICE]
    done = subprocess.run(
        command,
        env={**os.environ, "SARDONYX_CHECK": "1"},
        cwd=os.path.dirname(os.path.dirname(__file__)),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stray_access_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def emit(self: TrueCoordinates, b: KernelBuilder) -> None:
        with b.tasks() as task:
            b.buffer(3, dtypes.int64).store(task, b.buffer(2, dtypes.int64).load() * 3)

    monkeypatch.setattr(TrueCoordinates, "emit", emit)
    monkeypatch.setattr(build, "host_target", lambda: replace(host_target(), checked=True))
    program = compile_model(Case("NonZero", [np.ones((2, 2), np.float32)]).model())
    program.load(team(1), 1 << 30)
    with pytest.raises(ExecutionError, match=r"'node' \(true_coordinates\): the kernel was about to leave"):
        program.run([np.ones((2, 2), np.float32)])
