// Requests to running programs: whether they are ready.
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';

export interface Answer {
  status: number;
  body: string;
}

export interface AskOptions {
  ca?: string;
  token?: string;
  method?: string;
  body?: string;
  /** 5 by default. */
  seconds?: number;
}

/** One request on a connection of its own. */
export function ask(url: string, options: AskOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = {
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
      ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    const settings = { method: options.method ?? 'GET', headers, agent: false, ca: options.ca, timeout: (options.seconds ?? 5) * 1000 };
    const request = (url.startsWith('https:') ? httpsRequest : httpRequest)(url, settings, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.on('error', reject);
    });
    request.on('timeout', () => request.destroy(new Error(`no answer from ${url}`)));
    request.on('error', reject);
    request.end(options.body);
  });
}

export const etcdReady = async (url: string) => (await ask(`${url}/health`)).status === 200;

export const apiServerReady = async (url: string, ca: string, token: string) => (await ask(`${url}/readyz`, { ca, token })).status === 200;

/** Pods need it. The controller manager creates it within its first second. */
export const defaultServiceAccountExists = async (url: string, ca: string, token: string) =>
  (await ask(`${url}/api/v1/namespaces/default/serviceaccounts/default`, { ca, token })).status === 200;

/** The node is ready and has no taint that keeps pods away. */
export async function nodeReady(url: string, ca: string, token: string, name: string): Promise<boolean> {
  const answer = await ask(`${url}/api/v1/nodes/${name}`, { ca, token });
  if (answer.status !== 200) return false;
  const node: { spec?: { taints?: unknown[] }; status?: { conditions?: { type: string; status: string }[] } } = JSON.parse(answer.body);
  const ready = node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
  return ready && (node.spec?.taints ?? []).length === 0;
}
