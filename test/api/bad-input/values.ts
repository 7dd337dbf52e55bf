import { badBody } from './bad-case.ts';
import type { BadCase } from './bad-case.ts';

/** Elements by datatype that must be refused, each in the middle of three. Text stands for itself in JSON. */
const badElements: Readonly<Record<string, readonly string[]>> = {
  bool: ['2', '-1', '0.5', '"true"', 'null', '[]', '{}'],
  uint8: ['256', '-1', '1.5', '"1"', 'true', 'null', '[]', '{}', '1e999', '"NaN"'],
  uint16: ['65536', '-1', '0.1', '"7"', 'null'],
  uint32: ['4294967296', '-1', '0.1', '"7"', 'null'],
  uint64: [
    '-1',
    '18446744073709551616',
    '0.5',
    '"0x10"',
    '"1.5"',
    '"-1"',
    '""',
    '" 1"',
    'true',
    'null',
    '1e30',
    '"18446744073709551616"',
  ],
  int8: ['128', '-129', '1.5', '"1"', 'true', 'null'],
  int16: ['32768', '-32769', '1.5', '"1"'],
  int32: ['2147483648', '-2147483649', '1.5', '"1"', 'false'],
  int64: [
    '9223372036854775808',
    '-9223372036854775809',
    '0.5',
    '"9223372036854775808"',
    '"1e3"',
    '"abc"',
    '"NaN"',
    'true',
    'null',
    '1e19',
    '123456789012345678901234567890',
    '{"$numberLong":"1"}',
  ],
  fp16: ['65520', '-70000', '1e999', '"1.5"', 'true', 'null'],
  fp32: ['3.5e38', '-1e39', '1e999', '"1.5"', '"nan"', '"inf"', '"+Infinity"', 'true', 'null', '[1]', '{}'],
  fp64: ['1e999', '-1e999', '"1"', '""', '"-NaN"', 'false', 'null'],
  bytes: ['1', 'true', 'null', '["a"]', '{}', '"\\ud800"', '"\\udc00x"'],
};

const goodElements: Readonly<Record<string, string>> = { bool: 'true', bytes: '"a"' };

function elementCases(): BadCase[] {
  return Object.entries(badElements).flatMap(([model, elements]) => {
    const good = goodElements[model] ?? '1';
    return elements.map((element) =>
      badBody(`element ${element}`, model, `{"inputs":[${good},${element},${good}]}`, 'inputs[1]'),
    );
  });
}

const shapeCases: readonly BadCase[] = [
  badBody('an empty array', 'wine', { inputs: [] }, 'inputs'),
  badBody('too few elements', 'wine', { inputs: [1, 2, 3, 4] }, 'inputs'),
  badBody('too many elements', 'wine', { inputs: [1, 2, 3, 4, 5, 6] }, 'inputs'),
  badBody('several instances', 'wine', { inputs: [[1, 2, 3, 4, 5]] }, 'inputs'),
  badBody('a number', 'wine', { inputs: 5 }, 'inputs'),
  badBody('a string', 'wine', { inputs: '1,2,3,4,5' }, 'inputs'),
  badBody('a boolean', 'wine', { inputs: true }, 'inputs'),
  badBody('null', 'wine', { inputs: null }, 'inputs'),
  badBody('a string among the elements', 'wine', { inputs: [1, 2, 'three', 4, 5] }, 'inputs[2]'),
  badBody('a nested element', 'wine', { inputs: [1, 2, [3], 4, 5] }, 'inputs[2]'),
  badBody('a hole', 'wine', { inputs: [1, 2, null, 4, 5] }, 'inputs[2]'),
  badBody('an empty instance', 'diabetes', { inputs: [] }, 'inputs'),
  badBody('eleven for ten', 'diabetes', { inputs: Array.from({ length: 11 }, () => 0) }, 'inputs'),
  badBody('flat and short', 'rank-3', { inputs: [1, 2, 3, 4, 5] }, 'inputs'),
  badBody('one row missing', 'rank-3', { inputs: [[1, 2, 3]] }, 'inputs'),
  badBody(
    'a ragged row',
    'rank-3',
    {
      inputs: [
        [1, 2, 3],
        [4, 5],
      ],
    },
    'inputs[1]',
  ),
  badBody('a row that is a number', 'rank-3', { inputs: [[1, 2, 3], 4] }, 'inputs[1]'),
  badBody(
    'one level too many',
    'rank-3',
    {
      inputs: [
        [
          [1, 2, 3],
          [4, 5, 6],
        ],
      ],
    },
    'inputs',
  ),
  badBody(
    'a deep element',
    'rank-3',
    {
      inputs: [
        [1, 2, 3],
        [4, [5], 6],
      ],
    },
    'inputs[1][1]',
  ),
  badBody(
    'a string in a row',
    'rank-3',
    {
      inputs: [
        [1, 2, 3],
        [4, 5, '6'],
      ],
    },
    'inputs[1][2]',
  ),
  badBody('no element for an open length', 'open', { inputs: [] }, 'inputs'),
  badBody('a string for an open length', 'open', { inputs: [1, 'a'] }, 'inputs[1]'),
  badBody('a number for an open length', 'open', { inputs: 1 }, 'inputs'),
  badBody('two for a scalar', 'scalar', { inputs: [1, 2] }, 'inputs'),
  badBody('a string for a scalar', 'scalar', { inputs: 'one' }, 'inputs'),
];

const wineByName = { alcohol: 1, flavanoids: 2, color_intensity: 3, hue: 4, proline: 5 };
const penguin = { island: 'Biscoe', bill_length_mm: 40 };

const nameCases: readonly BadCase[] = [
  badBody('no features', 'wine', { inputs: {} }, 'inputs.'),
  badBody('a missing feature', 'wine', { inputs: { ...wineByName, hue: undefined } }, 'inputs.hue'),
  badBody('an unknown feature', 'wine', { inputs: { ...wineByName, colour: 1 } }, 'inputs.colour'),
  badBody('a feature in another case', 'wine', { inputs: { ...wineByName, Hue: 1 } }, 'inputs.Hue'),
  badBody('a string for a feature', 'wine', { inputs: { ...wineByName, hue: 'red' } }, 'inputs.hue'),
  badBody('null for a feature', 'wine', { inputs: { ...wineByName, hue: null } }, 'inputs.hue'),
  badBody('an array for a feature', 'wine', { inputs: { ...wineByName, hue: [1] } }, 'inputs.hue'),
  badBody('a missing input', 'two', { inputs: { a: [1, 2] } }, 'inputs.b'),
  badBody('an unknown input', 'two', { inputs: { a: [1, 2], b: [1], c: 1 } }, 'inputs.c'),
  badBody('an array for several inputs', 'two', { inputs: [1, 2, 1] }, 'inputs'),
  badBody('a number for several inputs', 'two', { inputs: 1 }, 'inputs'),
  badBody('a short input', 'two', { inputs: { a: [1], b: [1] } }, 'inputs.a'),
  badBody('a fraction for an integer', 'two', { inputs: { a: [1, 2], b: [0.5] } }, 'inputs.b[0]'),
  badBody('a missing string', 'penguins', { inputs: { bill_length_mm: 40 } }, 'inputs.island'),
  badBody('a number for a string', 'penguins', { inputs: { ...penguin, island: 3 } }, 'inputs.island'),
  badBody(
    'a string for a number',
    'penguins',
    { inputs: { ...penguin, bill_length_mm: 'x' } },
    'inputs.bill',
  ),
  badBody('null without a default', 'penguins', { inputs: { ...penguin, island: null } }, 'inputs.island'),
  badBody('an unknown category', 'island', { inputs: { island: 'Mars', mass: 1 } }, 'inputs.island'),
  badBody('a number for a category', 'island', { inputs: { island: 1, mass: 1 } }, 'inputs.island'),
  badBody('no category', 'island', { inputs: { mass: 1 } }, 'inputs.island'),
  badBody('a category in the wrong place', 'island', { inputs: [1, 'Biscoe'] }, 'inputs[0]'),
];

/** Names that objects inherit: none of them is a feature, an input, a parameter or a member. */
const prototypeCases: readonly BadCase[] = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'].flatMap(
  (name) => [
    badBody(`${name} as a member`, 'wine', `{"inputs":[1,2,3,4,5],"${name}":{}}`, name),
    badBody(
      `${name} as a parameter`,
      'wine',
      `{"inputs":[1,2,3,4,5],"parameters":{"${name}":{"cache":true}}}`,
      `parameters.${name}`,
    ),
    badBody(
      `${name} as a feature`,
      'wine',
      `{"inputs":{"alcohol":1,"flavanoids":2,"color_intensity":3,"hue":4,"proline":5,"${name}":1}}`,
      `inputs.${name}`,
    ),
    badBody(`${name} as an input`, 'two', `{"inputs":{"a":[1,2],"b":[1],"${name}":[1]}}`, `inputs.${name}`),
    badBody(`${name} in place of an input`, 'two', `{"inputs":{"a":[1,2],"${name}":[1]}}`, 'inputs.'),
  ],
);

export const valueCases: readonly BadCase[] = [
  ...elementCases(),
  ...shapeCases,
  ...nameCases,
  ...prototypeCases,
];
