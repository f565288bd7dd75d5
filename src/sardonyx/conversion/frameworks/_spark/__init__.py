"""Parts of the SparkML converter.

session    a Java, a Spark session, and models read from folders
columns    the stages of a model, the columns that go in and come out
graph      a graph under construction: columns as tensors of float64
features   transformers of columns
text       words of texts
predictors linear models, naive Bayes, perceptrons, clusters
trees      decision trees and ensembles
others     stages that onnxmltools converts
answers    what Spark itself says
conversion from a model to what the core wants to know of it
"""
