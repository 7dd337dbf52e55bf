"""Three species of iris: scikit-learn's default export, which ends in a ZipMap, and a manifest without labels."""

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import common

FEATURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def main():
    data = load_iris()
    x, y = common.float32(data.data), np.array([str(data.target_names[t]) for t in data.target], dtype=object)
    x_train, x_held, y_train, y_held = train_test_split(x, y, test_size=0.25, random_state=common.SEED, stratify=y)
    fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(x_train, y_train)
    accuracy = fitted.score(x_held, y_held)

    # Nothing but the defaults, on purpose.
    model = to_onnx(fitted, x[:1].astype(np.float32))
    labels = [str(c) for c in fitted.classes_]
    output, probabilities = fitted.predict(x), fitted.predict_proba(x)
    found = common.run(model, {"X": x.astype(np.float32)}, ["output_label", "output_probability"])
    zip_labels, zip_values = common.unzipped(found[1])
    assert zip_labels == labels
    common.same("label", output, found[0])
    common.same("probabilities", probabilities, zip_values)

    inputs = [[common.number(v) for v in row] for row in x]
    manifest = {
        "schema_version": 1,
        "name": "iris",
        "version": "v1.0.0",
        "description": "Species of an iris from the size of its sepals and petals",
        "task": "classification",
        "features": [{"name": n, "description": f"{n.replace('_', ' ').capitalize()}, cm"} for n in FEATURES],
        "examples": [{"inputs": inputs[0], "output": output[0]}, {"inputs": inputs[-1], "output": output[-1]}],
    }
    readme = f"""
# iris

Which of three species an iris belongs to, by the length and width of its sepals and petals.

It is scikit-learn's default ONNX export (`to_onnx(pipeline, x)`), left as it is: its second output is a sequence of
maps made by a `ZipMap` node, which Millrace cuts off at registration. The manifest names no labels and no
outputs: the labels come from the ZipMap.

- Data: R. A. Fisher's iris data, UCI Machine Learning Repository (https://archive.ics.uci.edu/dataset/53/iris),
  CC BY 4.0, as shipped with scikit-learn (`load_iris`): 150 rows.
- Training (`examples/training/iris.py`): `StandardScaler` and `LogisticRegression` on 75 % of the rows.
- Accuracy on the 25 % held out: {accuracy:.1%} of {len(y_held)} rows.
- File: input `X` FP32 [?,4]; outputs `output_label` BYTES [?], `output_probability` sequence(map(string, float)).

```json
{common.body(inputs[0], return_probability=True)}
```
"""
    common.save("iris", model, manifest, readme, inputs, output, probabilities, labels)


if __name__ == "__main__":
    common.reproducible()
    main()
