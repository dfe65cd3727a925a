export type SelectorName = 'client_id' | 'object_id' | 'msi_res_id';

/** Which identity a request asks for. */
export interface Selector {
  name: SelectorName;
  value: string;
}
