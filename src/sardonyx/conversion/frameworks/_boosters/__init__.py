"""Boosted trees: models of XGBoost and LightGBM as tables of ai.onnx.ml.

onnxmltools converts most of these too, but leaves out weights of dropped trees, several targets, sets of categories on
the left, zeros as missing values and float64 thresholds. The libraries' own JSON holds all of it exactly.

ensemble    trees in any library's terms to one TreeEnsembleRegressor
answers     raw scores to what predict and predict_proba say
xgboost     a Booster's JSON
lightgbm    a Booster's dump
"""
