"""TensorFlow's graphs to ONNX by tf2onnx: what Keras and TensorFlow sources have in common.

packages   importing TensorFlow and Keras, listening to tf2onnx
functions  SavedModels, functions and frozen graphs as functions of flat tensors
graphs     a function of tensors -> frozen graph -> ONNX
handlers   operators that tf2onnx does not know or gets wrong
texts      text processing
repairs    names, sizes and leftovers of the model that tf2onnx gave
trace      inner values of the frozen graph by their names in the model
lite       TFLite files
"""
