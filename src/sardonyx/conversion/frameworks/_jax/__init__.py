"""Parts of the JAX converter.

evidence    whose function is it? Looking at the names that its code uses
calls       a call as a flat list of arrays, and back
axes        which axes may have another size in the next call
exporting   jax2onnx, its two ways of looking at a function, and what it leaves behind
naming      names of the inputs and outputs
conversion  from a function or module to what the core wants to know of it
"""
