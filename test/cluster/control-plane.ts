// etcd, kube-apiserver and kube-controller-manager on 127.0.0.1, without root: the real API for integration tests.
import { rm } from 'node:fs/promises';
import { freePort } from '../harness/free-port.ts';
import { makeUsers } from './access.ts';
import { findKubernetes } from './binaries.ts';
import type { Log } from './cache.ts';
import { makeCertificates } from './certificates.ts';
import {
  apiServer,
  controllerManager,
  controlPlaneFiles,
  etcd,
  firstServiceAddress,
  serviceRange,
  serviceRangeIpv6,
} from './components.ts';
import { writeControlPlaneFiles } from './control-plane-files.ts';
import type { EtcdState } from './etcd.ts';
import { compact, readState, restoreState } from './etcd.ts';
import type { Running } from './processes.ts';
import { start, untilReady } from './processes.ts';
import { apiServerReady, defaultServiceAccountExists, etcdReady } from './ready.ts';
import { newRunFolder } from './state.ts';

export interface ControlPlane {
  url: string;
  /** Path of an administrator's kubeconfig. */
  kubeconfig: string;
  /** The administrator's bearer token and the API server's CA, for clients that want them plain. */
  token: string;
  ca: string;
  kubectl: string;
  /** Folder with logs and keys; gone after `stop`. */
  folder: string;
  /** Ends the API server at once (all watches break) and starts it again on the same port; resolves when it is ready. */
  restartApiServer(): Promise<void>;
  /** Forgets etcd's history up to now. Together with a restart, which empties the API server's own cache, an older resourceVersion gets 410 Gone. */
  compact(): Promise<void>;
  stop(): Promise<void>;
}

/** One that this process started. */
export interface OwnControlPlane extends ControlPlane {
  /** All objects. */
  readState(): Promise<EtcdState>;
  restoreState(state: EtcdState): Promise<void>;
}

export interface ControlPlaneOptions {
  log?: Log;
  /** More flags of kube-apiserver, without dashes. */
  apiServerFlags?: Record<string, string> | undefined;
  /** Path of an older kube-apiserver. Beside it only those controllers run that know no kinds that came later. */
  apiServer?: string | undefined;
}

/** Ready in about 5 s once the programs are built. It ends with its caller. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<OwnControlPlane> {
  const log = options.log ?? (() => {});
  const programs = await findKubernetes(log);
  const folder = newRunFolder();
  const files = controlPlaneFiles(folder);
  const [port, clientPort, peerPort] = await Promise.all([freePort(), freePort(), freePort()]);
  const url = `https://127.0.0.1:${port}`;
  const etcdUrl = `http://127.0.0.1:${clientPort}`;
  const users = makeUsers('none');
  const logFile = (name: string) => `${folder}/${name}.log`;
  const running: Running[] = [];
  const launch = (command: Parameters<typeof start>[0]) => {
    const one = start(command, logFile(command.name));
    running.unshift(one);
    return one;
  };
  const stop = async () => {
    // The API server alone would wait for its watchers, so all programs end at once.
    await Promise.all(running.map((one) => one.stop(0)));
    await rm(folder, { recursive: true, force: true });
  };
  const apiServerCommand = apiServer(
    options.apiServer ?? programs['kube-apiserver'],
    files,
    etcdUrl,
    { bind: '127.0.0.1', port, advertise: '127.0.0.1' },
    { 'service-cluster-ip-range': `${serviceRange},${serviceRangeIpv6}`, ...options.apiServerFlags },
  );
  try {
    const store = launch(etcd(programs.etcd, files, etcdUrl, `http://127.0.0.1:${peerPort}`));
    const certificates = await makeCertificates(['127.0.0.1', '::1', firstServiceAddress], new Date());
    writeControlPlaneFiles(files, certificates, users, url, url);
    const ready = () => apiServerReady(url, certificates.ca, users.admin.token);
    await untilReady(store, () => etcdReady(etcdUrl), 30);
    let server = launch(apiServerCommand);
    await untilReady(server, ready, 60);
    // Pods stay until a test deletes them, also those of a node that does not exist.
    const controllers =
      options.apiServer === undefined
        ? '*,-pod-garbage-collector-controller'
        : ['serviceaccount', 'namespace', 'root-ca-certificate-publisher', 'validatingadmissionpolicy-status']
            .map((name) => `${name}-controller`)
            .join();
    const manager = launch(controllerManager(programs['kube-controller-manager'], files, { controllers }));
    await untilReady(manager, () => defaultServiceAccountExists(url, certificates.ca, users.admin.token), 30);
    return {
      url,
      kubeconfig: files.adminConfig,
      token: users.admin.token,
      ca: certificates.ca,
      kubectl: programs.kubectl,
      folder,
      stop,
      compact: () => compact(etcdUrl),
      readState: () => readState(etcdUrl),
      restoreState: (state) => restoreState(etcdUrl, state),
      async restartApiServer() {
        await server.stop(0);
        running.splice(running.indexOf(server), 1);
        server = launch(apiServerCommand);
        await untilReady(server, ready, 60);
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
