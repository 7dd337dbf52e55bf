import { requestInputs } from '../processing/request-inputs.ts';
import type { RequestInput } from '../processing/request-inputs.ts';
import { resultOutputs } from '../processing/result-outputs.ts';
import { poolOf, taskOf } from '../registry/manifest.ts';
import type { FeatureSpec } from '../registry/manifest.ts';
import { defaultAlias } from '../registry/model-ref.ts';
import type { Model, ModelVersion } from '../registry/model-version.ts';

/** What callers see of the registry: the control plane's JSON, with the names of the HTTP contract. */

/** The newest versions that a model lists; each is still found by its name. */
export const listedVersionCountMax = 100;

export function modelSummary(model: Model) {
  const version = defaultVersion(model);
  return {
    name: model.name,
    description: version?.manifest.description ?? null,
    task: version === undefined ? null : taskOf(version.manifest),
    default_version: version?.version ?? null,
    aliases: model.aliases,
    version_count: model.versions.length,
    links: { self: `/api/v1/models/${model.name}`, predict: `/api/v1/models/${model.name}/predict` },
  };
}

/** Whether a worker says that the version lately ended or hung one of its hosts. */
export type IsFlagged = (version: ModelVersion) => boolean;

export function modelView(model: Model, isFlagged: IsFlagged) {
  const version = defaultVersion(model);
  return {
    ...modelSummary(model),
    /** Of the default version: what to send and what comes back. */
    ...(version === undefined ? { inputs: [], outputs: [], labels: null } : interfaceOf(version)),
    versions: model.versions
      .toSorted((a, b) => b.createdAtMs - a.createdAtMs)
      .slice(0, listedVersionCountMax)
      .map((each) => versionSummary(each, model, isFlagged)),
  };
}

export function versionView(version: ModelVersion, model: Model, isFlagged: IsFlagged) {
  return {
    model: version.model,
    ...versionSummary(version, model, isFlagged),
    description: version.manifest.description ?? null,
    task: taskOf(version.manifest),
    pool: poolOf(version.manifest),
    served_digest: version.servedDigest,
    artifact_bytes: version.artifactBytes,
    ...interfaceOf(version),
    signature: version.signature,
    manifest: version.manifest,
  };
}

function versionSummary(version: ModelVersion, model: Model, isFlagged: IsFlagged) {
  return {
    version: version.version,
    status: version.status,
    flagged: isFlagged(version),
    aliases: Object.keys(model.aliases).filter((alias) => model.aliases[alias] === version.version),
    digest: version.digest,
    created_at: new Date(version.createdAtMs).toISOString(),
    created_by: version.createdBy,
    links: { self: `/api/v1/models/${version.model}/versions/${version.version}` },
  };
}

function interfaceOf(version: ModelVersion) {
  return {
    inputs: requestInputs(version).map((input) => inputView(input, version)),
    outputs: resultOutputs(version).map(({ name, datatype, rowShape }) => ({
      name,
      datatype,
      shape: rowShape,
    })),
    labels: version.labels,
  };
}

/** One input as a request gives it: `shape` is that of one instance, -1 a length of the caller's choice. */
function inputView(input: RequestInput, version: ModelVersion) {
  const own = version.manifest.inputs?.[input.name];
  return {
    name: input.name,
    datatype: input.datatype,
    shape: input.rowShape,
    description: own?.description ?? null,
    required: input.features === null ? own?.missing === undefined : input.features.some(isRequired),
    features: input.features?.map(featureView) ?? null,
  };
}

function featureView(feature: FeatureSpec) {
  return {
    name: feature.name,
    description: feature.description ?? null,
    type: feature.one_hot === undefined ? 'number' : 'category',
    categories: feature.one_hot ?? null,
    required: isRequired(feature),
  };
}

function isRequired(feature: FeatureSpec): boolean {
  return feature.missing === undefined;
}

function defaultVersion(model: Model): ModelVersion | undefined {
  const name = model.aliases[defaultAlias];
  return model.versions.find((version) => version.version === name);
}
