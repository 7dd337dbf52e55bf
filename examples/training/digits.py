"""Handwritten digits: a small neural network over 8×8 images whose graph ends in logits."""

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import common

HIDDEN = 128
PIXEL_MAX = 16
ACCURACY_MIN = 0.97


def flat_and_scaled(images):
    return images.reshape(len(images), -1) / PIXEL_MAX


def export(network):
    """image → divide by 16 → flatten → dense → ReLU → dense → logits. No softmax: the manifest asks for it."""
    (w0, w1), (b0, b1) = network.coefs_, network.intercepts_
    constants = {"pixel_max": np.array(PIXEL_MAX), "w0": w0, "b0": b0, "w1": w1, "b1": b1}
    graph = helper.make_graph(
        [
            helper.make_node("Div", ["image", "pixel_max"], ["scaled"]),
            helper.make_node("Flatten", ["scaled"], ["flat"], axis=1),
            helper.make_node("Gemm", ["flat", "w0", "b0"], ["dense"]),
            helper.make_node("Relu", ["dense"], ["hidden"]),
            helper.make_node("Gemm", ["hidden", "w1", "b1"], ["logits"]),
        ],
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(v.astype(np.float32), name) for name, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    return model


def main():
    data = load_digits()
    x, y = data.images, data.target
    x_train, x_held, y_train, y_held = train_test_split(x, y, test_size=0.25, random_state=common.SEED, stratify=y)
    network = MLPClassifier((HIDDEN,), alpha=0.1, max_iter=1000, random_state=common.SEED)
    fitted = make_pipeline(FunctionTransformer(flat_and_scaled), network).fit(x_train, y_train)
    accuracy = fitted.score(x_held, y_held)
    assert accuracy >= ACCURACY_MIN, f"digits: {accuracy}"

    model = export(network)
    labels = [int(c) for c in fitted.classes_]
    output, probabilities = fitted.predict(x), fitted.predict_proba(x)
    [logits] = common.run(model, {"image": x.astype(np.float32)}, ["logits"])
    common.same("probabilities", probabilities, softmax(logits, axis=1))
    common.same("label", output, np.argmax(logits, axis=1))

    inputs = [[[common.number(v) for v in line] for line in image] for image in x]
    output = [int(v) for v in output]
    manifest = {
        "schema_version": 1,
        "name": "digits",
        "version": "v1.0.0",
        "description": "Handwritten digit in a grey image of 8 by 8 pixels, 0 (white) to 16 (black)",
        "task": "classification",
        "labels": labels,
        "outputs": {"probabilities": "logits"},
        "postprocess": [{"op": "softmax", "output": "logits"}],
        "examples": [{"inputs": inputs[0], "output": output[0]}, {"inputs": inputs[1], "output": output[1]}],
    }
    readme = f"""
# digits

Which digit a grey image of 8 by 8 pixels shows. A pixel is a number from 0 (white) to 16 (black); scaling is part of
the graph. An instance is the image as eight rows of eight numbers, or the 64 numbers flat.

The graph ends in logits and has no label output, as networks trained for cross-entropy often do: the manifest
asks for a softmax and names the ten labels, which are numbers.

- Data: optical recognition of handwritten digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository
  (https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits), CC BY 4.0, as shipped with
  scikit-learn (`load_digits`): 1,797 rows.
- Training (`examples/training/digits.py`): `MLPClassifier` with one hidden layer of {HIDDEN} on 75 % of the rows.
- Accuracy on the 25 % held out: {accuracy:.1%} of {len(y_held)} rows.
- File: input `image` FP32 [N,8,8]; output `logits` FP32 [N,10].

```json
{common.body(inputs[0], top_k=3)}
```
"""
    common.save("digits", model, manifest, readme, inputs, output, probabilities, labels)


if __name__ == "__main__":
    common.reproducible()
    main()
