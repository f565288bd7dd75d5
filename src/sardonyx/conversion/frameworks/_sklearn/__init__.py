"""Parts of the scikit-learn converter.

reading    a file to an estimator, and what can be wrong with either
steps      estimators inside estimators: pipelines, column transformers, ensembles
signature  the model's inputs, and the arrays or frames that the estimator wants for them
answers    what the estimator says, by the model's output names
precision  where float32 would change answers
ranges     values that the inputs take, as far as the estimator remembers its training
splits     thresholds of trees, by the input column that reaches them
repairs    what skl2onnx gets wrong
"""
