// Packet rules as service meshes load them into a pod's network namespace: by a CNI plugin before any container runs, or by an init container.

export interface Mesh {
  name: string;
  /** Input of `iptables-restore --noflush`. `excluded`: an outbound port that the mesh leaves alone, by an annotation of the pod. */
  rules(excluded?: number): string;
  /** Where its proxy takes outbound connections. */
  port: number;
  /** User and group of its proxy. Undefined where a mark tells its traffic. */
  user?: readonly [number, number];
}

const restore = (table: string, chains: readonly string[], rules: readonly string[]) =>
  [`*${table}`, ...chains.map((chain) => `:${chain} - [0:0]`), ...rules.map((rule) => `-A ${rule}`), 'COMMIT', ''].join('\n');

const istio: Mesh = {
  name: 'Istio CNI',
  port: 15001,
  user: [1337, 1337],
  rules: (excluded) =>
    restore(
      'nat',
      ['ISTIO_INBOUND', 'ISTIO_IN_REDIRECT', 'ISTIO_OUTPUT', 'ISTIO_REDIRECT'],
      [
        'PREROUTING -p tcp -j ISTIO_INBOUND',
        'OUTPUT -j ISTIO_OUTPUT',
        'ISTIO_INBOUND -p tcp --dport 15008 -j RETURN',
        'ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT',
        'ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006',
        'ISTIO_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN',
        'ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT',
        'ISTIO_OUTPUT -o lo -p tcp ! --dport 53 -m owner ! --uid-owner 1337 -j RETURN',
        'ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN',
        'ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN',
        'ISTIO_OUTPUT -p udp --dport 53 -j REDIRECT --to-ports 15053',
        ...(excluded === undefined ? [] : [`ISTIO_OUTPUT -p tcp --dport ${excluded} -j RETURN`]),
        'ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN',
        'ISTIO_OUTPUT -j ISTIO_REDIRECT',
        'ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001',
      ],
    ),
};

const linkerd: Mesh = {
  name: 'Linkerd CNI',
  port: 4140,
  user: [2102, 2102],
  rules: (excluded) =>
    restore(
      'nat',
      ['PROXY_INIT_OUTPUT', 'PROXY_INIT_REDIRECT'],
      [
        'PROXY_INIT_REDIRECT -p tcp -m multiport --dports 4190,4191 -j RETURN',
        'PROXY_INIT_REDIRECT -p tcp -j REDIRECT --to-ports 4143',
        'PREROUTING -j PROXY_INIT_REDIRECT',
        'PROXY_INIT_OUTPUT -m owner --uid-owner 2102 -j RETURN',
        'PROXY_INIT_OUTPUT -o lo -j RETURN',
        ...(excluded === undefined ? [] : [`PROXY_INIT_OUTPUT -p tcp -m multiport --dports ${excluded} -j RETURN`]),
        'PROXY_INIT_OUTPUT -p tcp -j REDIRECT --to-ports 4140',
        'OUTPUT -j PROXY_INIT_OUTPUT',
      ],
    ),
};

/** The proxy of the node listens in the namespace of the pod, and may be there before or after any container. */
export const ambient: Mesh = {
  name: 'Istio ambient',
  port: 15001,
  rules: () =>
    restore(
      'mangle',
      ['ISTIO_OUTPUT', 'ISTIO_PRERT'],
      [
        'PREROUTING -j ISTIO_PRERT',
        'OUTPUT -j ISTIO_OUTPUT',
        'ISTIO_PRERT -m mark --mark 0x539/0xfff -j CONNMARK --set-xmark 0x111/0xfff',
        'ISTIO_OUTPUT -m connmark --mark 0x111/0xfff -j CONNMARK --restore-mark',
      ],
    ) +
    restore(
      'nat',
      ['ISTIO_OUTPUT', 'ISTIO_PRERT'],
      [
        'PREROUTING -j ISTIO_PRERT',
        'OUTPUT -j ISTIO_OUTPUT',
        'ISTIO_PRERT ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15006',
        'ISTIO_OUTPUT -p tcp -m mark --mark 0x111/0xfff -j ACCEPT',
        'ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -j ACCEPT',
        'ISTIO_OUTPUT ! -d 127.0.0.1/32 -p tcp -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15001',
      ],
    ),
};

export const meshes: readonly Mesh[] = [istio, linkerd];

/** Input of `nft -f -`: Istio with `nativeNftables`, whose nat table is not that of iptables but has its priority. */
export const nativeNftables = `table inet istio-proxy-nat {
  chain prerouting { type nat hook prerouting priority -100; policy accept; meta l4proto tcp jump istio-inbound; }
  chain output { type nat hook output priority -100; policy accept; jump istio-output; }
  chain istio-inbound { tcp dport 15008 return; meta l4proto tcp redirect to :15006; }
  chain istio-output {
    oifname "lo" ip saddr 127.0.0.6 return
    oifname "lo" meta skuid != 1337 return
    meta skuid 1337 return
    ip daddr 127.0.0.1 return
    meta l4proto tcp redirect to :15001
  }
}
table inet istio-proxy-mangle {
  chain prerouting { type filter hook prerouting priority -150; policy accept; ct state invalid drop; }
}
`;
