"""What is particular to Keras.

files     models read from files: code in them, layers that are missing
calls     the flat form of a model's call: names, shapes and types of its inputs and outputs
layers    what the layers tell: the inputs' ranges, and which layer a node comes from
"""
