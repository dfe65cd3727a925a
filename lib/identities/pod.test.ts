import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mountsDriver } from './node-endpoint.ts';
import { podOf } from './pod.ts';

const withVolumes = (volumes: unknown) => {
  const pod = podOf({ metadata: { namespace: 'app', name: 'web', uid: 'u', labels: { aadpodidbinding: 's' } }, spec: { volumes } });
  assert.ok(pod);
  return pod;
};

describe('the volume drivers of a pod', () => {
  it('are those of its CSI and FlexVolume volumes, each once', () => {
    const csi = { csi: { driver: 'secrets-store.csi.k8s.io' } };
    const flex = { flexVolume: { driver: 'azure/kv' } };
    assert.deepEqual(withVolumes([{ emptyDir: {} }, csi, flex, csi]).volumeDrivers, ['secrets-store.csi.k8s.io', 'azure/kv']);
  });

  it('are none for other volumes or a list that is none', () => {
    for (const volumes of [undefined, 'x', [], [null, { persistentVolumeClaim: { claimName: 'csi' } }, { csi: { driver: 7 } }]])
      assert.deepEqual(withVolumes(volumes).volumeDrivers, []);
  });

  it('count for the node endpoint by their whole name', () => {
    const pod = withVolumes([{ csi: { driver: 'secrets-store.csi.k8s.io' } }]);
    assert.equal(mountsDriver(pod, ['azure/kv', 'secrets-store.csi.k8s.io']), true);
    assert.equal(mountsDriver(pod, ['csi.k8s.io', 'secrets-store']), false);
    assert.equal(mountsDriver(pod, []), false);
  });
});
