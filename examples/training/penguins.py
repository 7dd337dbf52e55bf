"""Three species of penguin from strings and numbers, some of them missing: one graph input for each column."""

import numpy as np
from palmerpenguins import load_penguins
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import common

STRINGS = {
    "island": {"description": "Island of the colony: Biscoe, Dream or Torgersen"},
    "sex": {"description": "female or male; unknown where it was not determined", "missing": "unknown"},
}
# A missing number reaches the graph as NaN, where the imputer puts the median of the training rows.
NUMBERS = {
    "bill_length_mm": {"description": "Length of the bill, mm", "missing": "NaN"},
    "bill_depth_mm": {"description": "Depth of the bill, mm", "missing": "NaN"},
    "flipper_length_mm": {"description": "Length of the flipper, mm", "missing": "NaN"},
    "body_mass_g": {"description": "Body mass, g", "missing": "NaN"},
}


def pipeline():
    return make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), list(STRINGS)),
            (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), list(NUMBERS)),
        ),
        LogisticRegression(max_iter=1000),
    )


def instance(row):
    strings = {name: None if row[name] == "unknown" else row[name] for name in STRINGS}
    return {**strings, **{name: common.number(row[name]) for name in NUMBERS}}


def main():
    data = load_penguins()
    x = data[[*STRINGS, *NUMBERS]].copy()
    for name in STRINGS:
        x[name] = x[name].astype(object).where(x[name].notna(), "unknown")
    for name in NUMBERS:
        x[name] = common.float32(x[name])
    y = data["species"].to_numpy(dtype=object)
    x_train, x_held, y_train, y_held = train_test_split(x, y, test_size=0.25, random_state=common.SEED, stratify=y)
    fitted = pipeline().fit(x_train, y_train)
    accuracy = fitted.score(x_held, y_held)

    model = to_onnx(
        fitted,
        initial_types=[(name, StringTensorType([None, 1])) for name in STRINGS]
        + [(name, FloatTensorType([None, 1])) for name in NUMBERS],
        options={"zipmap": False},
        target_opset={"": 17, "ai.onnx.ml": 3},
        name="penguins",
    )
    labels = [str(c) for c in fitted.classes_]
    output, probabilities = fitted.predict(x), fitted.predict_proba(x)
    feeds = {name: x[[name]].to_numpy(dtype=object) for name in STRINGS}
    feeds |= {name: x[[name]].to_numpy(dtype=np.float32) for name in NUMBERS}
    found = common.run(model, feeds, ["label", "probabilities"])
    common.same("label", output, found[0])
    common.same("probabilities", probabilities, found[1])

    inputs = [instance(row) for _, row in x.iterrows()]
    incomplete = next(i for i, row in enumerate(inputs) if row["bill_length_mm"] is None)
    manifest = {
        "schema_version": 1,
        "name": "penguins",
        "version": "v1.0.0",
        "description": "Species of a penguin from its island, sex and size; all but the island may be missing",
        "task": "classification",
        "inputs": {**STRINGS, **NUMBERS},
        "examples": [
            {"inputs": inputs[0], "output": output[0]},
            {"inputs": inputs[incomplete], "output": output[incomplete]},
            {"inputs": inputs[-1], "output": output[-1]},
        ],
    }
    readme = f"""
# penguins

Which of three species a penguin belongs to, by the island it was found on, its sex and its size. Six graph inputs, strings
and numbers, each [N,1]; an instance is an object with one value for each.

All but the island may be missing: send null or leave it out. A missing sex is the category `unknown`; a missing
number reaches the graph as NaN, and the imputer in the graph puts the median of the training rows in its place.
An island or sex that the training rows do not have counts as none of the known ones. The labels come from the classifier
node of the graph; the manifest names none.

- Data: Palmer penguins, A. M. Horst, A. P. Hill and K. B. Gorman (2020), https://allisonhorst.github.io/palmerpenguins/,
  CC0 1.0, as shipped with the Python package palmerpenguins: 344 rows, 11 of them with missing values.
- Training (`examples/training/penguins.py`): one-hot encoding, median imputer, `StandardScaler` and
  `LogisticRegression` on 75 % of the rows.
- Accuracy on the 25 % held out: {accuracy:.1%} of {len(y_held)} rows.
- File: inputs `island`, `sex` BYTES [N,1], {", ".join(f"`{n}`" for n in NUMBERS)} FP32 [N,1]; outputs `label` BYTES [N],
  `probabilities` FP32 [N,3].

```json
{common.body(inputs[0], return_probability=True)}
```

With missing values:

```json
{common.body(inputs[incomplete])}
```
"""
    assert sum(None in row.values() for row in inputs) == 11
    common.save("penguins", model, manifest, readme, inputs, output, probabilities, labels)


if __name__ == "__main__":
    common.reproducible()
    main()
