import type { onnx } from 'onnx-proto';
import { toBigInt } from './onnx-integer.ts';
import { allNodes, domainOf, findAttribute } from './onnx-nodes.ts';
import type { Label } from './model-version.ts';

const classifiers = ['TreeEnsembleClassifier', 'LinearClassifier', 'SVMClassifier'];

/**
 * Class labels that the graph itself names: a ZipMap's, or else a classifier node's. Null when there are none or when
 * nodes disagree. Call before the ZipMap is cut.
 */
export function readLabels(model: onnx.IModelProto): readonly Label[] | null {
  const nodes = allNodes(model).filter((node) => domainOf(node.domain) === 'ai.onnx.ml');
  const zipMaps = nodes.filter((node) => node.opType === 'ZipMap');
  const bearers = zipMaps.length > 0 ? zipMaps : nodes.filter((node) => isClassifier(node));
  const [first, ...others] = bearers.map((node) => labelsOf(node));
  if (first === undefined || first.length === 0) return null;
  const same = others.every((labels) => JSON.stringify(labels) === JSON.stringify(first));
  return same ? first : null;
}

function isClassifier(node: onnx.INodeProto): boolean {
  return classifiers.some((name) => name === node.opType);
}

export function labelsOf(node: onnx.INodeProto): readonly Label[] {
  const strings = findAttribute(node, 'classlabels_strings')?.strings ?? [];
  if (strings.length > 0) return strings.map((bytes) => new TextDecoder().decode(bytes));
  const integers = ['classlabels_int64s', 'classlabels_ints'].flatMap(
    (name) => findAttribute(node, name)?.ints ?? [],
  );
  return integers.map((integer) => {
    const value = Number(toBigInt(integer));
    // Past 2^53 a JSON number is not exact: the label is then its digits.
    return Number.isSafeInteger(value) ? value : toBigInt(integer).toString();
  });
}
